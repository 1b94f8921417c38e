"""On the PC: pretrains an autoencoder on the normal sounds of some places, has it learn those of
others, and prints how well its error tells what is not normal there.

    .venv/bin/python device/examples/anomaly/measure.py SOUNDS [--new PLACE ...]

SOUNDS: folders PLACE/normal/*.wav and PLACE/other/*.wav. Of a new place half of the normal files
are learned, the others and the faults are the test. Datasets, the network and reports are left in
build/anomaly.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from priot.backbone.float_graph import run as run_floats
from priot.backbone.float_network import FloatNetwork
from priot.backbone.pretrain import Pretraining, Recipe
from priot.cli import run_logged
from priot.data.log_mel import LEVELS, LogMel
from priot.data.recordings import ZERO, read_wav
from priot.errors import PriotError
from priot.formats import Dataset
from priot.jobs.evaluate import separation
from priot.network import fields as f
from priot.paths import BUILD

COLUMNS, BANDS, HOP, EVERY = 8, 16, 256, 4
NAMES = ("normal", "other")
NETWORK = ("flatten, linear 64, bn, relu, linear 8, bn, relu, linear 64, bn, relu, "
           "linear 128 bias")
RECIPE = "--loss squared --optimizer adamw --lr 0.005 --weight-decay 0.01 --epochs {}"
METHODS = ("weights", "gain", "priot", "head", "bias")


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(".")[0])
    parser.add_argument("sounds", type=Path)
    parser.add_argument("--new", nargs="+", default=["0", "1", "2", "3"], metavar="PLACE",
                        help="places that are learned (default 0 1 2 3); all others pretrain")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "anomaly", metavar="FOLDER")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--epochs", type=int, default=20, help="of pretraining (default 20)")
    return parser


def windows(samples: np.ndarray, rate: int) -> np.ndarray:
    """int8 [n][1][COLUMNS][BANDS] of samples int16, as anomaly.py cuts them."""
    columns = LogMel(rate, BANDS, HOP).columns(samples)
    return np.stack([columns[i : i + COLUMNS]
                     for i in range(0, len(columns) - COLUMNS + 1, EVERY)])[:, None]


def write(path: Path, *of_label: list[Path]) -> None:
    """A dataset of wav files: those of label 0, of label 1. Raises PriotError."""
    parts: list[np.ndarray] = []
    rates: set[int] = set()
    for files in of_label:
        sounds = [read_wav(file) for file in files]
        rates.update(rate for rate, _ in sounds)
        parts.append(np.concatenate([windows(x[:, 0], rate) for rate, x in sounds]))
    labels = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts])
    if len(rates) > 1:
        raise PriotError(of_label[0][0].parent, f"found files of {sorted(rates)} samples a "
                         "second, expected one rate")
    Dataset(np.concatenate(parts), labels, len(NAMES), NAMES, 1 / LEVELS, ZERO,
            sound=LogMel(rates.pop(), BANDS, HOP).sound).write(path)


def wavs(place: Path, kind: str) -> list[Path]:
    """Raises PriotError where there are fewer than two."""
    found = sorted((place / kind).glob("*.wav"))
    if len(found) < 2:
        raise PriotError(place / kind, "has no wav files to learn from and to test with")
    return found


def separated(folder: Path, place: str, *options: object) -> float:
    """AUC of a place's test, percent."""
    report = folder / "report.json"
    run_logged(folder / "log", "evaluate", folder / "anomaly.priot", folder / f"{place}-test.prd",
               *options, "--json", report)
    auc: float = json.loads(report.read_text())["auc"]
    return auc


def learn(folder: Path, place: str, method: str, seed: int) -> float:
    """AUC after a place has been learned, percent."""
    scores = folder / f"{place}.scores"
    scores.unlink(missing_ok=True)
    run_logged(folder / "log", "train", folder / "anomaly.priot", folder / f"{place}-learn.prd",
               "--method", method, "--epochs", 12, "--halve", 3, "--seed", seed, "--save", scores)
    return separated(folder, place, "--adapter", scores)


def learn_in_floats(folder: Path, place: str, seed: int) -> float:
    """AUC after the float network has learned a place by SGD, one sample at a time."""
    network = FloatNetwork.read(folder / "anomaly.npz")
    dataset, test = (Dataset.read(folder / f"{place}-{part}.prd") for part in ("learn", "test"))
    recipe = Recipe("sgd", epochs=12, lr=0.01, batch=1, weight_decay=0, clip=0, seed=seed)
    training = Pretraining(network.layers, dataset.shape, dataset.images[0].size, recipe,
                           f.RECONSTRUCTION)
    stages = [stage for stage in training.graph.stages if stage.weights is not None]
    for stage, weights, bias in zip(stages, network.weights, network.biases, strict=True):
        stage.weights, stage.bias = weights.copy(), bias.copy()
    training.norms.clear()  # they are in weights and biases
    for _ in training.run(dataset):
        pass
    x = test.images.astype(np.float32) / 128
    y = run_floats(training.network().graph_for(test), x)[-1].reshape(len(x), -1)
    errors = np.square(y - x.reshape(y.shape)).sum(axis=1)
    found = separation(errors[test.labels == 0], errors[test.labels == 1])
    assert found is not None
    return found


def measure(args: argparse.Namespace) -> None:
    """Pretrain, and print a row for each new place."""
    folder = args.output
    folder.mkdir(parents=True, exist_ok=True)
    places = sorted(path.name for path in args.sounds.iterdir() if path.is_dir())
    known = [args.sounds / place for place in places if place not in args.new]
    write(folder / "known.prd", [file for place in known for file in wavs(place, NAMES[0])])
    run_logged(folder / "log", "pretrain", folder / "known.prd", "--network", NETWORK,
               *RECIPE.format(args.epochs).split(), "-o", folder / "anomaly.npz")
    run_logged(folder / "log", "quantize", folder / "anomaly.npz", "--calibrate",
               folder / "known.prd", "-o", folder / "anomaly.priot")
    print("| place | before | " + " | ".join(args.methods) + " | float |")
    print("|---" * (3 + len(args.methods)) + "|")
    rows = []
    for place in args.new:
        normal, other = (wavs(args.sounds / place, kind) for kind in NAMES)
        half = len(normal) // 2
        write(folder / f"{place}-learn.prd", normal[:half])
        write(folder / f"{place}-test.prd", normal[half:], other)
        seeds = range(1, args.seeds + 1)
        found = [[learn(folder, place, method, seed) for seed in seeds]
                 for method in args.methods]
        floats = [learn_in_floats(folder, place, seed) for seed in seeds]
        rows.append([separated(folder, place), *map(np.mean, found), np.mean(floats)])
        print(f"| {place} | " + " | ".join(f"{v:.1f}" for v in rows[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{v:.1f}" for v in np.mean(rows, axis=0)) + " |")


def main(argv: list[str] | None = None) -> int:
    """Print a table of the new places."""
    args = build_parser().parse_args(argv)
    try:
        measure(args)
    except (PriotError, OSError) as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
