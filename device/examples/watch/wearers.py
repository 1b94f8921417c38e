"""Runs on a PC: leaves out each of the ten wearers in turn, and prints what a minute teaches.

wearers.py FOLDER [WEARER ...]

FOLDER has watch.npz (`make watch-data`) and gets datasets, networks and reports. 1.priot is the
network that is shipped as watch.priot.
"""

import json
import subprocess
import sys
from pathlib import Path

PRIOT = [sys.executable, "-m", "priot.cli"]
NETWORK = ("conv 16 1x5 stride 1x2 pad 0x2, bn, relu, conv 24 1x5 stride 1x2 pad 0x2, bn, relu, "
           "conv 32 1x3 stride 1x2 pad 0x1, bn, relu, globalpool, flatten, linear 7 bias")
METHODS = ("gain", "weights", "priot")
SEEDS = (1, 2, 3)


def priot(*arguments: object) -> None:
    done = subprocess.run([*PRIOT, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def make(folder: Path, wearer: int) -> None:
    """Datasets of a wearer, and a network that has seen the nine others."""
    cut = [folder / "watch.npz", "--window", 100, "--hop", 25, "--group", "piece", "--series",
           "recording", "--leave"]
    pieces = {piece: folder / f"{wearer}-{piece}.prd" for piece in ("minute", "later", "left")}
    others, network = folder / f"without-{wearer}.prd", folder / f"{wearer}.npz"
    priot("dataset", *cut, ",".join(f"{wearer}-{piece}" for piece in pieces), "--part", "pretrain",
          "--standardise", "-o", others)
    for piece, path in pieces.items():
        priot("dataset", *cut, f"{wearer}-{piece}", "--part", "test", "--for", others, "-o", path)
    priot("pretrain", others, "--network", NETWORK, "--optimizer", "adamw", "--lr", 0.003,
          "--weight-decay", 0.01, "--epochs", 3, "-o", network)
    priot("quantize", network, "--calibrate", others, "--name", "watch", "-o",
          folder / f"{wearer}.priot")


def learn(folder: Path, wearer: int, method: str, seed: int) -> tuple[float, float, float, float]:
    """Percent right of what comes later, before and after a minute; of the left arm likewise."""
    report = folder / f"{wearer}-{method}-{seed}.json"
    priot("train", folder / f"{wearer}.priot", folder / f"{wearer}-minute.prd", "--method", method,
          "--epochs", 20, "--seed", seed, "--test", folder / f"{wearer}-later.prd", "--also",
          folder / f"{wearer}-left.prd", "--json", report)
    found = json.loads(report.read_text())
    left = found["also"][0]
    return (found["accuracy_before"], found["accuracy_after"], left["accuracy_before"],
            left["accuracy_after"])


def columns(folder: Path, wearer: int) -> list[float]:
    """Before, after by each method; of the left arm the same. Means of the seeds."""
    found = [[learn(folder, wearer, method, seed) for seed in SEEDS] for method in METHODS]
    means = [[sum(values) / len(SEEDS) for values in zip(*of_method, strict=True)]
             for of_method in found]
    return [means[0][0], *(of[1] for of in means), means[0][2], *(of[3] for of in means)]


def row(name: object, cells: list[float]) -> None:
    print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


def main(folder: Path, wearers: list[int]) -> None:
    head = ["wearer", *(f"{arm}{name}" for arm in ("", "left arm: ")
                        for name in ("before", *METHODS))]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    rows = []
    for wearer in wearers:
        make(folder, wearer)
        rows.append(columns(folder, wearer))
        row(wearer, rows[-1])
    row("mean", [sum(cells) / len(rows) for cells in zip(*rows, strict=True)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]] or list(range(1, 11)))
