"""`priot quantize`: float weights to an int8 model file with all static shifts."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.backbone import verdict
from priot.backbone.fidelity import Fidelity, compare
from priot.backbone.float_network import FloatNetwork
from priot.backbone.nearest import quantize
from priot.backbone.quantize import add_spare
from priot.commands.options import add_json_option
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.formats.model import NAME_BYTES
from priot.network.spec import format_network
from priot.network.stage import Stage
from priot.reports.json_file import write_json

SHIFTS = ("weight_exponent", "forward_shift", "backward_shift", "update_bits_weights",
          "update_bits_scores")


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `quantize` to the subcommands."""
    parser = subparsers.add_parser(
        "quantize", help="turn a float network into an int8 model file",
        description="Quantise a float network and calibrate all shifts on pretraining images.")
    parser.add_argument("float", type=Path, help="float network (.npz) of priot pretrain")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DATASET",
                        help="upright images the network was pretrained on (.prd)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL",
                        help="model file to write (.priot)")
    parser.add_argument("--images", type=int, default=512, metavar="N",
                        help="use the first N images, or N spread evenly where the first lack a "
                        "class (default 512)")
    parser.add_argument("--test", type=Path, metavar="DATASET",
                        help="measure the model's accuracy on this dataset")
    parser.add_argument("--name", help="name in the file (default: the output's name)")
    parser.add_argument("--naive", action="store_true",
                        help="most frequent shifts on right labels: the baseline that fails")
    parser.add_argument("--force", action="store_true",
                        help="write the model even where nothing can be expected of it")
    parser.add_argument("--spare", type=int, default=0, metavar="N",
                        help="outputs for N classes to add on the board (default 0)")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot quantize`."""
    if args.images < 1:
        raise PriotError("--images", f"found {args.images}, expected at least 1")
    if not 0 <= args.spare <= 254:
        raise PriotError("--spare", f"found {args.spare}, expected 0..254")
    network = FloatNetwork.read(args.float)
    if args.spare and network.squared:
        raise PriotError("--spare", f"{args.float} is trained by squared error and has no classes "
                         "to add to")
    dataset = Dataset.read(args.calibrate)
    some = calibration_images(dataset, args.images)
    name = args.name or args.output.stem.encode()[:NAME_BYTES].decode(errors="ignore")
    forced = args.force or args.naive  # the naive shifts are there to fail
    refuse(args.calibrate, verdict.images_problem(some, network.squared), forced)
    try:
        model, graph, found = quantize(network, some, name, args.naive)
        if args.spare:
            add_spare(model, args.spare)
    except ValueError as error:
        raise PriotError(args.float, str(error)) from None
    test = Dataset.read(args.test) if args.test else None
    if test is not None:
        test.check_fits(model, args.test)
    print(f"{args.output}: {format_network(model.layers)}")
    print_shifts(model.weight_stages)
    print("\n".join([*verdict.table(found), verdict.agreement_text(found, args.calibrate)]))
    refuse(args.output, verdict.problem(model, found), forced)
    warn(args.output, verdict.weights_warnings(found.layers))
    warn(args.calibrate, verdict.images_warnings(some, network.squared)
         + verdict.warnings(found, model.classes))
    model.write(args.output)
    report = {"model": str(args.output), "crc32": f"{model.crc:08x}",
              "network": format_network(model.layers), "images": len(some),
              "naive": args.naive, "spare": args.spare,
              "layers": [{key: getattr(stage, key) for key in SHIFTS}
                         for stage in model.weight_stages],
              "fidelity": found.report()}
    if test is not None:
        report |= _tested(args.test, compare(graph, model, test), model)
    write_json(args.json, report)
    return 0


def calibration_images(dataset: Dataset, n: int) -> Dataset:
    """The first n images; n spread evenly where these lack a class that the dataset has.

    Files made of folders may be in the order of their classes.
    """
    chosen = np.arange(min(n, len(dataset)))
    if len(np.unique(dataset.labels[chosen])) < len(np.unique(dataset.labels)):
        chosen = np.arange(len(chosen)) * len(dataset) // len(chosen)
        print(f"calibrating on {len(chosen)} images spread over all {len(dataset)}, as the first "
              "lack a class")
    return replace(dataset, images=dataset.images[chosen], labels=dataset.labels[chosen],
                   targets=dataset.targets[chosen] if dataset.n_targets else dataset.targets)


def refuse(where: Path, problem: str | None, forced: bool) -> None:
    """Raise PriotError for a problem; where it is forced, say it and go on."""
    if problem and not forced:
        raise PriotError(where, f"{problem}; --force writes it all the same")
    warn(where, [problem] if problem else [])


def warn(where: Path, lines: list[str]) -> None:
    """Say what is unusual, on the standard error stream."""
    for line in lines:
        print(f"warning: {where}: {line}", file=sys.stderr)


def _tested(path: Path, found: Fidelity, model: Model) -> dict:
    """Print what a test set shows; what the report says of it."""
    if found.error is not None:
        print(verdict.agreement_text(found, path))
        warn(path, verdict.warnings(found, model.classes))
        return {"test_fidelity": found.report()}
    accuracy, before = (round(100 * n / found.images, 2)
                        for n in (found.correct, found.float_correct))
    print(f"accuracy on {path}: {accuracy:.2f} % (float {before:.2f} %)")
    print(verdict.agreement_text(found, path))
    warn(path, verdict.warnings(found, model.classes))
    return {"accuracy": accuracy, "float_accuracy": before, "test_fidelity": found.report()}


def print_shifts(stages: Iterable[Stage]) -> None:
    """A table of the static shifts, one line per conv2d and linear stage."""
    print("layer     weight exp.  forward  backward  update bits: weights, scores")
    for stage in stages:
        print(f"{stage.index} {stage.name:8}{stage.weight_exponent:10}{stage.forward_shift:9}"
              f"{stage.backward_shift:10}{stage.update_bits_weights:22}"
              f"{stage.update_bits_scores:8}")
