"""Cycles of the kernels of priot_layers and priot_backward on layers as networks have them.

    PYTHONPATH=.:tests .venv/bin/python -m armv6m.layer_cycles [--write] [MODEL]

prints the table that native/KERNELS.md quotes; --write makes its figures the committed ones. Its
inputs come from a ReLU; weights are as large as those of trained networks are on average. With a
model: the inference of a random image, stage by stage, as a Pico runs it with all weights in RAM.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from kernels.layers import conv2d_descriptor, n_inputs, n_outputs
from priot.formats import Model
from priot.network import fields as f
from priot.oracle.step import Oracle

from armv6m import layer_cases as cases
from armv6m.cases import NOTHING, forward
from armv6m.step import recorded, table
from armv6m.target import FAST, LayersTarget, Target, compare
from armv6m.target import LAYERS as LAYERS_KERNELS

FIGURES = Path(__file__).with_name("layer_cycles.json")
# of the weights; 15 to 25 in the 1x1 and 3x3 layers of DS-CNN and ResNet-8, scaled to 127
DEVIATION = 22
LIVE = 0.45  # of the errors are not 0, as behind a ReLU
ERRORS = 4  # deviation of those
_FORWARD = [f"{name}_forward" for name, *_ in f.KINDS.values()]
# name -> kernel, descriptor
LAYERS = {
    "1x1 64->64, 25x5": ("tiles_forward", dict(n_in=64, size=(25, 5), n_out=64, kernel=1)),
    "1x1 64->64, 16x16": ("tiles_forward", dict(n_in=64, size=(16, 16), n_out=64, kernel=1)),
    "1x1 16->32, 24x24": ("tiles_forward", dict(n_in=16, size=(24, 24), n_out=32, kernel=1)),
    "depthwise 3x3 16, 24x24": ("depthwise3x3_forward", dict(
        n_in=16, size=(24, 24), n_out=16, kernel=3, padding=1, groups=16)),
    "depthwise 3x3 64, 25x5": ("depthwise3x3_forward", dict(
        n_in=64, size=(25, 5), n_out=64, kernel=3, padding=1, groups=64)),
    "depthwise 3x3 stride 2 16, 48x48": ("depthwise3x3_forward", dict(
        n_in=16, size=(48, 48), n_out=16, kernel=3, stride=2, padding=(0, 1, 0, 1), groups=16)),
    "3x3 3->16, 32x32": ("conv3x3_forward", dict(
        n_in=3, size=(32, 32), n_out=16, kernel=3, padding=1)),
    "3x3 stride 2 16->32, 32x32": ("tiles_forward", dict(
        n_in=16, size=(32, 32), n_out=32, kernel=3, stride=2, padding=(0, 1, 0, 1))),
    "3x3 stride 2 1->8, 48x48": ("tiles_forward", dict(
        n_in=1, size=(48, 48), n_out=8, kernel=3, stride=2, padding=(0, 1, 0, 1))),
    "10x4 stride 2 1->64, 49x10": ("tiles_forward", dict(
        n_in=1, size=(49, 10), n_out=64, kernel=(10, 4), stride=2, padding=(4, 5, 1, 1))),
}


TRAINED = {  # of these also the gradient of x, and the update by `priot`
    "1x1 64->64, 25x5": "gather", "1x1 64->64, 16x16": "gather", "1x1 16->32, 24x24": "gather",
    "depthwise 3x3 16, 24x24": "depthwise3x3", "depthwise 3x3 64, 25x5": "depthwise3x3",
    "depthwise 3x3 stride 2 16, 48x48": "depthwise3x3", "3x3 stride 2 16->32, 32x32": "gather",
}


def operands(rng: np.random.Generator, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, weights and biases."""
    n = int(d[f.N_OUT] * d[f.N_ROW])
    w = np.clip(np.rint(rng.normal(0, DEVIATION, n)), -127, 127) + 128
    x = np.clip(np.rint(rng.normal(0, 40, n_inputs(d))), 0, 127)
    return (x.astype(np.int8), w.astype(np.uint8),
            rng.integers(-5000, 5000, int(d[f.N_OUT])).astype(np.int32))


def measure(target: LayersTarget) -> dict[str, tuple[int, int]]:
    """Of each layer: cycles of a forward call, and its products; of some of a backward call and
    an update, and their products of errors that are not 0."""
    found = {}
    fast = Target(target.cores)
    for name, (kernel, shape) in LAYERS.items():
        rng = np.random.default_rng(1)
        d = conv2d_descriptor(**shape, RELU=1, NONNEGATIVE=1, BIAS=1, FORWARD_SHIFT=9)
        cycles = (cases.forward(target, kernel, d, *operands(rng, d)) if kernel in LAYERS_KERNELS
                  else forward(fast, f.CONV2D, d, *operands(rng, d)))
        found[name] = cycles, int(d[f.N_OUT] * d[f.N_ROW] * d[f.H_CONV] * d[f.W_CONV])
        if name in TRAINED:
            found |= training(target, rng, name, d)
    return found


def training(target: LayersTarget, rng: np.random.Generator, name: str,
             d: np.ndarray) -> dict[str, tuple[int, int]]:
    """Of one layer: cycles of a backward call and of an update, and their products."""
    x, w, _ = operands(rng, d)
    g = np.rint(rng.normal(0, ERRORS, n_outputs(d))).clip(-127, 127)
    g = np.where(rng.random(len(g)) < LIVE, g, 0).astype(np.int8)
    products = int(np.count_nonzero(g) * d[f.N_ROW])
    d[[f.MASK_DX, f.BACKWARD_SHIFT]] = 128, 9
    d[[f.RULE, f.UPDATE_SHIFT, f.THRESHOLD]] = f.PRUNE, 12, 64
    scores = rng.integers(0, 256, len(w)).astype(np.uint8)
    kernel = TRAINED[name]
    return {f"{name}, dX": (cases.backward(target, f"{kernel}_backward", d, g, x, w,
                                           np.zeros(n_inputs(d), np.uint8)), products),
            f"{name}, update": (cases.update(target, f"{kernel}_update", d, g, x, w, scores,
                                             NOTHING), products)}


def inference(model: Model, cores: int) -> dict[str, tuple[int, int]]:
    """Of every stage of a network: cycles of its kernel, and its products, or values put out.

    Kernels are those that a Pico plans; each call is compared with the oracle.
    """
    rng = np.random.default_rng(1)
    image = rng.integers(-127 if model.signed else 0, 128, model.shape)
    with recorded(_FORWARD) as calls:
        Oracle(model, "priot").predict(image.astype(np.int8 if model.signed else np.uint8))
    found: dict[str, tuple[int, int]] = {}
    fast, layers = Target(cores), LayersTarget(cores)
    for call in calls:
        d, name = call.d, call.kernel
        kind = next(n for n, (kernel, *_) in f.KINDS.items() if name == f"{kernel}_forward")
        target: Target = fast
        if not (name in FAST and fast.plan(kind, d) and d[f.PLAN_FORWARD]):
            target = layers
            assert layers.plan(kind, d), f"{name}: left to portable C"
        scratch = np.zeros(target.scratch_words(kind, 0, d), np.int32)
        operands = tuple(scratch if form == "0" else b for form, b in zip(
            f.KINDS[kind][1], call.operands, strict=True))
        outputs = int(d[f.N_OUT] * d[f.H_CONV] * d[f.W_CONV])
        work = outputs * int(d[f.N_ROW]) if kind in (f.CONV2D, f.LINEAR) else outputs
        found[f"{len(found)} {name} {d[f.N_IN]}->{d[f.N_OUT]}"] = (
            compare(target, name, operands), work)
    found["all"] = sum(cycles for cycles, _ in found.values()), 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL")
    options = parser.parse_args()
    figures = {}
    for cores in (1, 2):
        figures[cores] = (inference(Model.read(options.model), cores) if options.model
                          else measure(LayersTarget(cores)))
        print(f"cores: {cores}\n{table(figures[cores])}\n")
    if options.write and not options.model:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
