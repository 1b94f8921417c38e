"""`priot inspect FILE`: what is in a model, dataset or adapter file."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import add_json_option
from priot.errors import FileError, PriotError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.formats.container import KINDS, Sound, not_ours, read_start
from priot.planning.sizes import Planner, heap_for
from priot.reports.describe import (
    classes_lines,
    describe_adapter,
    describe_dataset,
    describe_model,
    histogram_text,
    shape_text,
    sound_lines,
)
from priot.reports.json_file import write_json
from priot.targets.unix import UnixTarget

_WIDTH = 91  # of the table of stages, in front of the kernels


def _print_model(report: dict[str, Any], sound: Sound | None) -> None:
    outputs = "classes" if report["loss"] == "cross entropy" else f"outputs, {report['loss']}"
    print(f"input {shape_text(report['input'])}, {report['classes']} {outputs}, "
          f"{report['weights']} weights")
    spare = [f"spare outputs for classes to add: {report['spare']}"] if report["spare"] else []
    print(*classes_lines(report["names"]), *sound_lines(sound), *spare,
          f"network: {report['network']}", sep="\n")
    print(f"activations {report['activation_bytes']} bytes, argmax {report['argmax_bytes']} bytes")
    print("stage        input     output    weights  max|w|  exp  forward  backward  "
          "bits: dW, dW*w  on a Pico")
    for i, stage in enumerate(report["stages"]):
        line = (f"{i} {stage['kind']:11}{shape_text(stage['input']):10}"
                f"{shape_text(stage['output']):10}")
        if stage["weights"]:
            line += (f"{stage['weights']:7}{stage['largest_weight']:8}"
                     f"{stage['weight_exponent']:5}{stage['forward_shift']:9}"
                     f"{stage['backward_shift']:10}{stage['update_bits_weights']:10}"
                     f"{stage['update_bits_scores']:7}")
        print(f"{line:{_WIDTH}}{stage['pico_kernel'] or ''}".rstrip())


def _print_dataset(report: dict[str, Any], sound: Sound | None) -> None:
    print(f"{report['samples']} samples {shape_text(report['image'])}, " + (
        f"targets of {report['targets']} values" if report["targets"] else
        f"{report['classes']} class{'' if report['classes'] == 1 else 'es'}"))
    print(*classes_lines(report["names"], report["per_class"])
          or ["per class: " + " ".join(map(str, report["per_class"]))], *sound_lines(sound),
          sep="\n")
    low, high = report["smallest_pixel"], report["largest_pixel"]
    print((f"values {low}..{high}" if low < 0 else f"pixels 0..{high}")
          + f", mean {report['mean_pixel']}")


def _print_adapter(report: dict[str, Any], adapter: Adapter) -> None:
    print(f"{report['content']} of {report['method']}, for the backbone {report['backbone']}; "
          f"{report['parameters']} parameters")
    print(f"seed {report['seed']}, {report['epochs']} epochs, step {report['step']}, "
          f"rounding {report['rounding']}, start {report['init']}")
    print(*(line + "\n" for line in classes_lines(report["names"])), sep="", end="")
    for layer, source in zip(report["layers"], adapter.layers, strict=True):
        line = f"layer {layer['layer']}: {layer['parameters']} ({layer['selection']})"
        if "kept" in layer and layer["parameters"]:
            line += f", {100 * layer['kept'] / layer['parameters']:.1f} % kept"
            if adapter.content == "scores":
                line += (f" (top {layer['keep_percent']} %: " if layer["keep_percent"] else " (")
                line += f"threshold {layer['threshold']})"
        if "least" in layer:
            line += f", {layer['least']}..{layer['greatest']}, mean {layer['mean']}"
        if "histogram" in layer:
            line += f"  |{histogram_text(source.values)}|"
        print(line)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `inspect` to the subcommands."""
    parser = subparsers.add_parser(
        "inspect", help="show what is in a model, dataset or adapter file",
        description="Show what is in a model, dataset or adapter file. Bars |..:-=@..| count "
                    "values from -128 on, 16 at a time.")
    parser.add_argument("file", type=Path, help="a .priot, .prd, .scores or .adapter file")
    parser.add_argument("--backbone", type=Path, metavar="MODEL",
                        help="check that an adapter belongs to this model")
    add_json_option(parser)
    return parser


def _pico_kernels(path: Path) -> list[str]:
    """What a Pico runs each stage by; nothing where there is no MicroPython to ask."""
    try:
        network = Planner(UnixTarget(heap_for(path)), path, "native").network()
    except PriotError:
        return []
    return [stage["kernels"] for stage in network.stages]


def main(args: argparse.Namespace) -> int:
    """Run `priot inspect`."""
    magic = read_magic(args.file)
    if magic not in KINDS:
        raise FileError(args.file, not_ours(read_start(args.file)))
    report: dict[str, Any] = {"file": str(args.file), "bytes": args.file.stat().st_size}
    title = f"{args.file}: {KINDS[magic]}, {report['bytes']} bytes"
    if KINDS[magic] == "model":
        model = Model.read(args.file)
        report |= describe_model(model, _pico_kernels(args.file))
        print(f"{title}, named {report['name']}, crc32 {report['crc32']}")
        _print_model(report, model.sound)
    elif KINDS[magic] == "dataset":
        dataset = Dataset.read(args.file)
        report |= describe_dataset(dataset)
        print(title)
        _print_dataset(report, dataset.sound)
    else:
        adapter = Adapter.read(args.file)
        if args.backbone:
            adapter.check_backbone(Model.read(args.backbone), args.file)
        report |= describe_adapter(adapter)
        print(title)
        _print_adapter(report, adapter)
    write_json(args.json, report)
    return 0
