"""`priot import`: a trained network of ONNX or TFLite to an int8 model file."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from priot.backbone import verdict
from priot.backbone.float_graph import FloatGraph
from priot.backbone.nearest import nearest
from priot.commands.options import LOSSES, add_json_option
from priot.commands.quantize import calibration_images, print_shifts, refuse, warn
from priot.data.samples import quantised_targets, read_samples
from priot.errors import PriotError
from priot.formats import Dataset
from priot.formats.golden import golden_path
from priot.formats.model import NAME_BYTES
from priot.importer.read import import_file
from priot.jobs import golden
from priot.network import fields as f
from priot.network.spec import format_network
from priot.reports.json_file import write_json


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `import` to the subcommands."""
    parser = subparsers.add_parser(
        "import", help="turn an ONNX or TFLite file into an int8 model file",
        description="Import a trained network, quantise it, and calibrate all shifts.")
    parser.add_argument("file", type=Path, help="network (.onnx or .tflite)")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DATA",
                        help="samples as the network gets them, with labels: .npz with x and y, "
                        "or a dataset (.prd)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL",
                        help="model file to write (.priot)")
    parser.add_argument("--mean", type=float, help="of the samples: the network gets (x - mean) "
                        "/ std (default 0)")
    parser.add_argument("--std", type=float, help="see --mean (default 1)")
    parser.add_argument("--loss", choices=LOSSES, help="what the outputs are compared with: "
                        "classes; or by squared error the samples themselves (an autoencoder), "
                        "of which there are as many values, or the targets y of the samples "
                        "(default: squared where there are as many outputs as inputs)")
    parser.add_argument("--images", type=int, default=512, metavar="N",
                        help="calibrate on N samples (default 512)")
    parser.add_argument("--names", type=lambda text: tuple(text.split(",")), default=(),
                        metavar="A,B,...", help="names of the classes")
    parser.add_argument("--name", help="name in the file (default: the output's name)")
    parser.add_argument("--golden", type=int, metavar="N", help="also keep N samples and the "
                        "outputs for them beside the model, in MODEL.golden.npz: 'priot evaluate "
                        "MODEL --golden' compares them on any target")
    parser.add_argument("--force", action="store_true",
                        help="write the model even where nothing can be expected of it")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot import`."""
    if args.images < 1:
        raise PriotError("--images", f"found {args.images}, expected at least 1")
    if args.golden is not None and args.golden < 1:
        raise PriotError("--golden", f"found {args.golden}, expected at least 1")
    graph, report = import_file(args.file)
    print(report.describe(graph))
    _set_loss(graph, args.loss)
    _set_scale(graph, args)
    dataset, exponent, target_exponent = _calibration(graph, args)
    name = args.name or args.output.stem.encode()[:NAME_BYTES].decode(errors="ignore")
    problem = verdict.images_problem(dataset, graph.loss != f.CROSS_ENTROPY)
    refuse(args.calibrate, problem, args.force)
    try:
        model, graph, found = nearest(graph, dataset, name, exponent,
                                      target_exponent=target_exponent)
    except ValueError as error:
        raise PriotError(args.file, str(error)) from None
    print(f"{args.output}: {format_network(model.layers)}")
    print_shifts(model.weight_stages)
    print("\n".join([*verdict.table(found), verdict.agreement_text(found, args.calibrate)]))
    if found.error is None:
        print(f"accuracy on {args.calibrate}: {100 * found.correct / found.images:.1f} % "
              f"(float {100 * found.float_correct / found.images:.1f} %)")
    refuse(args.output, verdict.problem(model, found), args.force)
    warn(args.output, verdict.weights_warnings(found.layers))
    warn(args.calibrate, verdict.warnings(found, model.classes))
    model.write(args.output)
    if args.golden:
        golden.make(model, dataset, args.golden).write(golden_path(args.output))
    write_json(args.json, {
        "model": str(args.output), "crc32": f"{model.crc:08x}", "source": str(args.file),
        "network": format_network(model.layers), "nodes": [asdict(fate) for fate in report.fates],
        "warnings": report.warnings, "dead_filters": report.dead_filters,
        "parameters": graph.parameters, "macs": graph.macs, "images": found.images,
        "fidelity": found.report()})
    return 0


def _set_loss(graph: FloatGraph, word: str | None) -> None:
    """The loss that was said, or that of an autoencoder where there are as many outputs as inputs
    and nothing behind them that only classes have."""
    reconstructs = graph.classes == int(np.prod(graph.shape))
    if word is None and reconstructs and not graph.final and graph.classes > 1:
        print("as many outputs as inputs: squared error to its input (--loss cross-entropy if "
              "they are classes)")
        word = LOSSES[1]
    if word == LOSSES[1]:
        graph.loss = f.RECONSTRUCTION if reconstructs else f.SQUARED_ERROR


def _set_scale(graph: FloatGraph, args: argparse.Namespace) -> None:
    """Mean and std as given, or as the file says."""
    if args.mean is not None or args.std is not None:
        graph.mean, graph.std = args.mean or 0.0, 1.0 if args.std is None else args.std
    for option, values in (("--mean", graph.mean), ("--std", graph.std)):
        if np.unique(values).size > 1:
            raise PriotError(option, "differs by channel, and a model has one scale for all: "
                             "normalise the samples before, and export without it")
    if not float(np.ravel(graph.std)[0]) > 0:
        raise PriotError("--std", f"found {graph.std}, expected more than 0")


def _calibration(graph: FloatGraph, args: argparse.Namespace) -> tuple[Dataset, int, int]:
    """Samples as int8, the exponent of their values (v stands for the input v * 2^exponent), and
    that of the targets."""
    samples = read_samples(args.calibrate, loss=graph.loss)
    labels = samples.labels
    classes = graph.classes
    if graph.loss != f.CROSS_ENTROPY:
        classes = min(256, int(labels.max()) + 1)
    if labels.max() >= classes:
        raise PriotError(args.calibrate, f"label: found {labels.max()}, expected below "
                         f"{classes}, the network's outputs")
    try:
        x = graph.images(_in_file_order(graph, samples.values))
    except ValueError as error:
        raise PriotError(args.calibrate, str(error)) from None
    low, high = graph.limits or (float(x.min()), float(x.max()))
    largest = max(abs(low), abs(high))
    if not 0 < largest < 2.0**100:
        raise PriotError(args.calibrate, f"values to {largest}, expected finite ones, not all 0")
    exponent = int(np.ceil(np.log2(largest / 128)))
    std, mean = (float(np.ravel(values)[0]) for values in (graph.std, graph.mean))
    signed = low < 0
    values = np.clip(np.rint(x * 2.0**-exponent), -127 if signed else 0, 127)
    dataset = Dataset(values.astype(np.int8 if signed else np.uint8), labels.astype(np.uint8),
                      classes, args.names or samples.names, std * 2.0**exponent,
                      round(-mean / (std * 2.0**exponent)))
    target_exponent = 0
    if len(samples.targets):
        largest = float(np.abs(samples.targets).max())
        target_exponent = int(np.ceil(np.log2(max(largest, 2.0**-100) / 127)))
        dataset.targets = quantised_targets(args.calibrate, samples.targets, graph.classes,
                                            target_exponent)
    dataset.check(args.calibrate)
    return calibration_images(dataset, args.images), exponent, target_exponent


def _in_file_order(graph: FloatGraph, values: np.ndarray) -> np.ndarray:
    """Samples [channel][y][x] as the file has them, if it has the channels last."""
    if graph.order is None or values.shape[1:] != graph.shape or graph.shape == graph.file_shape:
        return values
    flat = np.empty((len(values), graph.order.size), values.dtype)
    flat[:, graph.order] = values.reshape(len(values), -1)
    return flat
