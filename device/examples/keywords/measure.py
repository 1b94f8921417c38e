"""On the PC: pretrains a network of words without a speaker, and has it learn that speaker.

    .venv/bin/python device/examples/keywords/measure.py RECORDINGS [SPEAKER ...]

RECORDINGS: a folder of wav files named WORD_SPEAKER_NUMBER.wav. Without speakers each of those
there is left out in turn. Prints a table, and leaves in build/keywords for each speaker what a
board wants: SPEAKER.priot, the network, and SPEAKER.words, recordings.
"""

import argparse
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from priot.cli import run_logged
from priot.data.recordings import labelled_wavs, read_wav
from priot.errors import PriotError
from priot.formats import Dataset
from priot.paths import BUILD

NETWORK = ("conv 12 3 pad 1, bn, relu, maxpool 2, conv 24 3 pad 1, bn, relu, maxpool 2, "
           "conv 32 3 pad 1, bn, relu, maxpool 2, flatten, linear {classes} bias")
RECIPE = ("--optimizer adamw --lr 0.005 --weight-decay 0.05 --clip 0 --batch 32 --shift 2 "
          "--epochs {epochs}")
HOP = 160  # samples: 20 ms
METHODS = ("gain", "weights")
N_TEST_WORDS = 50  # of those that no one learns, in the file for the board


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recordings", type=Path, help="folder of WORD_SPEAKER_NUMBER.wav")
    parser.add_argument("speakers", nargs="*", help="left out in turn (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "keywords", metavar="FOLDER")
    parser.add_argument("--words", type=int, nargs="+", default=(20, 50, 100), metavar="N",
                        help="how many words are learned (default 20 50 100)")
    parser.add_argument("--epochs", type=int, default=15, help="of pretraining (default 15)")
    return parser


def order(labels: np.ndarray) -> np.ndarray:
    """A fixed order of samples that begins with rounds of one of each class."""
    generator = np.random.RandomState(0)  # numpy froze it
    of_class = [generator.permutation(np.flatnonzero(labels == i)) for i in np.unique(labels)]
    ranks = np.concatenate([np.arange(len(found)) for found in of_class])
    return np.concatenate(of_class)[np.argsort(ranks, kind="stable")]


def write_words(path: Path, files: list[Path], labels: np.ndarray) -> None:
    """Recordings for keywords.py: label u8, samples u32, and the samples int16, of each."""
    with open(path, "wb") as sink:
        for file, label in zip(files, labels, strict=True):
            samples = read_wav(file)[1][:, 0].astype("<i2")
            sink.write(struct.pack("<BI", label, len(samples)) + samples.tobytes())


def measure(args: argparse.Namespace, speaker: str) -> list[float]:
    """Percent of a speaker's other words known before, and after each number by each method."""
    stem, log, most = args.output / speaker, args.output / "log", max(args.words)
    known, own = f"{stem}-others.prd", f"{stem}-own.prd"
    for part, path in (("train", known), ("test", own)):
        run_logged(log, "dataset", args.recordings, "--leave", speaker, "--part", part, "--hop",
                   HOP, "-o", path)
    dataset = Dataset.read(own)
    run_logged(log, "pretrain", known, "--network", NETWORK.format(classes=dataset.classes),
               *RECIPE.format(epochs=args.epochs).split(), "-o", f"{stem}.npz")
    run_logged(log, "quantize", f"{stem}.npz", "--calibrate", known, "-o", f"{stem}.priot")
    chosen = order(dataset.labels)
    if len(chosen) <= most:
        raise PriotError("--words", f"found {most}, {speaker} has {len(chosen)} in all")
    files = [file for file, _, name in labelled_wavs(args.recordings) if name == speaker]
    on_board = chosen[: most + N_TEST_WORDS]
    write_words(Path(f"{stem}.words"), [files[i] for i in on_board], dataset.labels[on_board])

    def part_of(indices: np.ndarray, name: str) -> Path:
        path = Path(f"{stem}-{name}.prd")
        replace(dataset, images=dataset.images[indices], labels=dataset.labels[indices]
                ).write(path)
        return path

    test = part_of(chosen[most:], "test")
    found: list[float] = []
    for n in args.words:
        for method in METHODS:
            run_logged(log, "train", f"{stem}.priot", part_of(chosen[:n], str(n)), "--test",
                       test, "--method", method, "--json", f"{stem}.json")
            report = json.loads(Path(f"{stem}.json").read_text())
            found += [report["accuracy_after"]] if found else [report["accuracy_before"],
                                                              report["accuracy_after"]]
    return found


def main(argv: list[str] | None = None) -> int:
    """Print a table of all speakers that are asked for."""
    args = build_parser().parse_args(argv)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        speakers = args.speakers or sorted({name for _, _, name in labelled_wavs(args.recordings)})
        if not speakers:
            raise PriotError(args.recordings, "has no wav files")
        print("| left out | before | " + " | ".join(
            f"{n} words, {method}" for n in args.words for method in METHODS) + " |")
        print("|---" * (2 + len(args.words) * len(METHODS)) + "|")
        rows = []
        for speaker in speakers:
            rows.append(measure(args, speaker))
            print(f"| {speaker} | " + " | ".join(f"{v:.1f}" for v in rows[-1]) + " |", flush=True)
        print("| mean | " + " | ".join(f"{v:.1f}" for v in np.mean(rows, axis=0)) + " |")
    except (PriotError, OSError) as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
