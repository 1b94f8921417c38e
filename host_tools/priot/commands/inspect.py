"""`priot inspect FILE`: what is in a model, dataset or adapter file."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.formats.adapter import AdapterLayer
from priot.formats.container import KINDS
from priot.network import fields as f
from priot.network.spec import format_network
from priot.network.stages import Stage
from priot.planning.scratch import kernel_name
from priot.reports.json_file import add_json_option, write_json

_SELECTIONS = {f.ALL: "all edges", f.LARGEST: "abs(w) >= {}", f.BITMAP: "bitmap"}
_BARS = " .:-=+*#%@"
_WIDTH = 91  # of the table of stages, in front of the kernels


def shape_text(shape: tuple[int, ...]) -> str:
    """ "8x13x13" of (8, 13, 13)."""
    return "x".join(map(str, shape))


def histogram_text(values: np.ndarray) -> str:
    """16 characters, one per range of 16 values from -128 on: the darker, the more."""
    counts = np.histogram(values, bins=16, range=(-128, 128))[0]
    most = max(1, int(counts.max()))
    return "".join(_BARS[-(-int(n) * (len(_BARS) - 1) // most)] for n in counts)


def describe_model(model: Model) -> dict[str, Any]:
    """What `priot inspect --json` writes of a model."""
    stages = model.stages()
    return {
        "kind": "model", "name": model.name, "crc32": f"{model.crc:08x}",
        "input": list(model.shape), "classes": model.classes,
        "network": format_network(model.layers),
        "weights": sum(layer.weights.size for layer in model.layers),
        "activation_bytes": sum(int(np.prod(stage.shape_out)) for stage in stages),
        "argmax_bytes": sum(stage.argmax_bytes for stage in stages),
        "stages": [_describe_stage(model, stage) for stage in stages],
    }


def _describe_stage(model: Model, stage: Stage) -> dict[str, Any]:
    layer = model.layers[stage.layer]
    values = {
        "kind": f.KIND_NAMES[stage.kind], "input": list(stage.shape_in),
        "output": list(stage.shape_out), "relu": bool(stage.d[f.RELU]),
        "pool": int(stage.d[f.POOL]), "weights": layer.weights.size,
        "pico_kernel": kernel_name(stage, "native"),
    }
    if stage.weight_index >= 0:
        values |= {
            "largest_weight": int(np.abs(layer.weights.astype(np.int16)).max()),
            "zero_weights": int((layer.weights == 0).sum()),
            "weight_exponent": layer.weight_exponent,
            "forward_shift": layer.forward_shift, "backward_shift": layer.backward_shift,
            "update_bits_weights": layer.update_bits_weights,
            "update_bits_scores": layer.update_bits_scores,
        }
    return values


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """What `priot inspect --json` writes of a dataset."""
    return {
        "kind": "dataset", "samples": len(dataset), "image": list(dataset.shape),
        "classes": dataset.classes,
        "per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist(),
        "largest_pixel": int(dataset.images.max()),
        "mean_pixel": round(float(dataset.images.mean()), 2),
    }


def describe_adapter(adapter: Adapter) -> dict[str, Any]:
    """What `priot inspect --json` writes of an adapter."""
    return {
        "kind": "adapter", "backbone": f"{adapter.backbone_crc:08x}",
        "content": adapter.content, "method": adapter.method, "seed": adapter.seed,
        "rng_state": adapter.rng_state, "epochs": adapter.epochs, "step": adapter.step,
        "rounding": "psr" if adapter.rounding else "rhu",
        "init": "normal" if adapter.init else "zeros",
        "gmin": adapter.gmin, "halve": adapter.halve,
        "parameters": sum(len(layer.values) for layer in adapter.layers),
        "layers": [_describe_adapter_layer(adapter, layer) for layer in adapter.layers],
    }


def _describe_adapter_layer(adapter: Adapter, layer: AdapterLayer) -> dict[str, Any]:
    values = {"layer": layer.index, "parameters": len(layer.values),
              "selection": _SELECTIONS[layer.selection].format(layer.tau)}
    if adapter.content in ("scores", "mask"):
        values["keep_percent"] = layer.keep_percent
        values["threshold"] = layer.threshold - 128
    if adapter.content == "mask":
        values["kept"] = int(layer.values.sum())
    elif len(layer.values):
        numbers = layer.values.astype(np.int64)
        if adapter.content == "scores":
            values["kept"] = int((numbers + 128 >= layer.threshold).sum())
        values |= {
            "least": int(numbers.min()), "greatest": int(numbers.max()),
            "mean": round(float(numbers.mean()), 2), "zero": int((numbers == 0).sum()),
            "histogram": np.histogram(numbers, bins=16, range=(-128, 128))[0].tolist(),
        }
    return values


def _print_model(report: dict[str, Any]) -> None:
    print(f"input {shape_text(report['input'])}, {report['classes']} classes, "
          f"{report['weights']} weights")
    print(f"network: {report['network']}")
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
        print(f"{line:{_WIDTH}}{stage['pico_kernel']}")


def _print_dataset(report: dict[str, Any]) -> None:
    print(f"{report['samples']} images {shape_text(report['image'])}, "
          f"{report['classes']} classes")
    print("per class: " + " ".join(map(str, report["per_class"])))
    print(f"pixels 0..{report['largest_pixel']}, mean {report['mean_pixel']}")


def _print_adapter(report: dict[str, Any], adapter: Adapter) -> None:
    print(f"{report['content']} of {report['method']}, for the backbone {report['backbone']}; "
          f"{report['parameters']} parameters")
    print(f"seed {report['seed']}, {report['epochs']} epochs, step {report['step']}, "
          f"rounding {report['rounding']}, start {report['init']}")
    for layer, source in zip(report["layers"], adapter.layers, strict=True):
        line = f"layer {layer['layer']}: {layer['parameters']} ({layer['selection']})"
        if "kept" in layer and layer["parameters"]:
            line += f", {100 * layer['kept'] / layer['parameters']:.1f} % kept"
            if adapter.content == "scores":
                line += (f" (top {layer['keep_percent']} %: " if layer["keep_percent"] else " (")
                line += f"threshold {layer['threshold']})"
        if "least" in layer:
            line += (f", {layer['least']}..{layer['greatest']}, mean {layer['mean']}"
                     f"  |{histogram_text(source.values)}|")
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


def main(args: argparse.Namespace) -> int:
    """Run `priot inspect`."""
    magic = read_magic(args.file)
    if magic not in KINDS:
        raise FileError(args.file, "not a model, dataset or adapter file")
    report: dict[str, Any] = {"file": str(args.file), "bytes": args.file.stat().st_size}
    title = f"{args.file}: {KINDS[magic]}, {report['bytes']} bytes"
    if KINDS[magic] == "model":
        report |= describe_model(Model.read(args.file))
        print(f"{title}, named {report['name']}, crc32 {report['crc32']}")
        _print_model(report)
    elif KINDS[magic] == "dataset":
        report |= describe_dataset(Dataset.read(args.file))
        print(title)
        _print_dataset(report)
    else:
        adapter = Adapter.read(args.file)
        if args.backbone:
            adapter.check_backbone(Model.read(args.backbone), args.file)
        report |= describe_adapter(adapter)
        print(title)
        _print_adapter(report, adapter)
    write_json(args.json, report)
    return 0
