"""One training step of network A, kernel by kernel: operands from the oracle, cycles per product.

    PYTHONPATH=.:tests .venv/bin/python -m armv6m.step [--write] [MODEL DATASET]

prints the table that native/KERNELS.md quotes, of one core and of two; --write makes its figures
the committed ones. With a model and a dataset of at least 64 images: means over steps of a
training on it.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from priot.formats import Dataset, Model
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.oracle.step import GMIN, Oracle
from priot.paths import BACKBONES

from armv6m.target import SIGNATURES, Target, compare

FIGURES = Path(__file__).with_name("cycles.json")
NETWORK_A = BACKBONES / "mnist-a-0.priot"
METHODS = ("priot", "priot-s", "gain", "weights")
CORES = {1: "", 2: ", two cores"}  # behind the name of a method
SAMPLES = 4
RULE = "update_row"  # what is spent in it is the update rule, the rest of an update its gradient
Figures = dict[str, tuple[int, int]]  # of a row of the table: cycles, and of how many products


@dataclass
class Call:
    """One kernel call as the oracle made it; operands hold what they held before."""

    kernel: str
    operands: tuple

    @property
    def d(self) -> np.ndarray:
        return self.operands[-1]

    def part(self, name: str) -> np.ndarray:
        """The operand of that name, see SIGNATURES."""
        names = [part.lower() for part in SIGNATURES[self.kernel] if part != "n"]
        return self.operands[names.index(name)]

    @property
    def products(self) -> int:
        """Multiply-accumulates of the layer: all in forward, of errors that are not 0 else."""
        d, row = self.d, int(self.d[f.N_ROW])
        if self.kernel.endswith("forward"):
            return row * int(d[f.N_OUT] * d[f.H_OUT] * d[f.W_OUT] * d[f.POOL_H] ** 2)
        return row * int(np.count_nonzero(self.part("g")))

    @property
    def touched(self) -> int:
        """Weights whose dW an update looks at."""
        g = self.part("g").reshape(int(self.d[f.N_OUT]), -1)
        rows = int(g.any(axis=1).sum())
        if self.kernel == "linear_update":
            return rows * int(np.count_nonzero(self.part("x")))
        return rows * int(self.d[f.N_ROW])


def digits(count: int) -> list[np.ndarray]:
    """Images like MNIST's: strokes of a pen, three pixels wide, on black; uint8 0..127."""
    strokes = [[(8, 8), (19, 7), (14, 15), (12, 22)],
               [(14, 6), (8, 14), (14, 21), (20, 14), (14, 6)],
               [(9, 8), (17, 7), (12, 13), (18, 17), (15, 22), (9, 20)],
               [(17, 6), (9, 16), (20, 16)]]
    y, x = np.mgrid[:28, :28]
    images = []
    for points in strokes[:count]:
        distance = np.full((28, 28), np.inf)
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            distance = np.minimum(distance, np.hypot(x - x0 - along * dx, y - y0 - along * dy))
        images.append(np.clip(127 * (2 - distance), 0, 127).astype(np.uint8)[None])
    return images


FAST_KERNELS = tuple(name for name, parts in SIGNATURES.items() if "d" in parts)


@contextmanager
def recorded(kernels: Iterable[str] = FAST_KERNELS) -> Iterator[list[Call]]:
    """Every call of these kernels of layers that the oracle makes meanwhile."""
    calls: list[Call] = []
    originals = {name: getattr(oracle, name) for name in kernels}

    def recorder(name):
        def kernel(operands):
            calls.append(Call(name, _arrays(operands)))
            return originals[name](operands)
        return kernel

    try:
        for name in originals:
            setattr(oracle, name, recorder(name))
        yield calls
    finally:
        for name, function in originals.items():
            setattr(oracle, name, function)


def _arrays(operands: tuple) -> tuple:
    """Copies as numpy arrays; one buffer that stands twice stays one."""
    copies = {id(b): np.frombuffer(bytes(b), np.uint8).copy() for b in operands[:-1]}
    d = np.array(operands[-1], np.int32)
    return *(copies[id(buffer)] for buffer in operands[:-1]), d


def steps(model: Model, method: str, images: list[np.ndarray]) -> list[list[Call]]:
    """The calls of one step per image, each from the pretrained network, with a wrong label."""
    result = []
    for image in images:
        trained = Oracle(model, method)
        label = (trained.predict(image) + 1) % model.classes
        with recorded() as calls:
            assert trained.step(image, label) >= GMIN
        result.append(calls)
    return result


def training_steps(model: Model, method: str, data: Dataset) -> Iterator[list[Call]]:
    """The calls of 16 steps of an epoch, of those that run their backward pass."""
    trained = Oracle(model, method)
    stride = max(1, len(data) // 32)
    found = 0
    for i in range(len(data)):
        with recorded() as calls:
            runs = trained.step(data.images[i], int(data.labels[i])) >= GMIN
        if runs and i % stride == 0 and found < 16:
            found += 1
            yield calls


def measure(target: Target, calls: list[Call]) -> Figures:
    """Figures of one step; every call is also compared with the oracle."""
    figures: Figures = {}
    for call in calls:
        d = call.d
        kind = f.CONV2D if call.kernel.startswith("conv2d") else f.LINEAR
        scratch = np.zeros(target.scratch_words(kind, 1, d), np.int32)
        operands = tuple(scratch if b is call.part("scratch") else b for b in call.operands)
        cycles = compare(target, call.kernel, operands, profile=True)
        spent = target.machine.cycles_by_function()
        rule = spent.get(RULE, 0)
        where = f"{d[f.N_IN]}->{d[f.N_OUT]}"
        if call.kernel == "linear_update":
            figures[f"linear_update {where}"] = cycles, call.touched
            continue
        if call.kernel == "conv2d_update" and target.cores == 1:
            figures[f"conv2d_update {where}, rule"] = rule, call.touched
            cycles -= rule
        figures[f"{call.kernel} {where}"] = cycles, call.products
    forward = sum(cycles for name, (cycles, _) in figures.items() if "forward" in name)
    figures["forward pass"] = forward, 1
    figures["whole step"] = sum(cycles for cycles, _ in figures.values()) - forward, 1
    return figures


def mean(all_figures: list[Figures]) -> Figures:
    """Means over several steps."""
    return {name: (round(sum(one[name][0] for one in all_figures) / len(all_figures)),
                   round(sum(one[name][1] for one in all_figures) / len(all_figures)))
            for name in all_figures[0]}


def network_a(target: Target) -> dict[str, Figures]:
    """Figures of network A on strokes, for every method."""
    model = Model.read(NETWORK_A)
    cores = CORES[target.cores]
    return {method + cores: mean([measure(target, calls)
                                  for calls in steps(model, method, digits(SAMPLES))])
            for method in METHODS}


def table(figures: Figures) -> str:
    """One line per kernel: cycles, and cycles per product (or weight that an update touches)."""
    return "\n".join(f"{name:36}{cycles:10,}" + (f"{cycles / work:8.2f}" if work > 1 else "")
                     for name, (cycles, work) in figures.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("files", type=Path, nargs="*", metavar="MODEL DATASET")
    options = parser.parse_args()
    results: dict[str, Figures] = {}
    for cores in CORES:
        target = Target(cores)  # one at a time: all have the same memory
        if options.files:
            model, data = Model.read(options.files[0]), Dataset.read(options.files[1])
            results |= {method + CORES[target.cores]: mean(
                [measure(target, calls) for calls in training_steps(model, method, data)])
                for method in METHODS}
        else:
            results |= network_a(target)
    for method, figures in results.items():
        print(f"{method}\n{table(figures)}\n")
    if options.write:
        FIGURES.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
