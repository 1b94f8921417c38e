"""What is in a model, a dataset or an adapter, as `priot inspect` reports it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from priot.formats import Adapter, Dataset, Model
from priot.formats.adapter import AdapterLayer
from priot.formats.container import Sound
from priot.network import fields as f
from priot.network.spec import format_network
from priot.network.stage import Stage

_SELECTIONS = {f.ALL: "all edges", f.LARGEST: "abs(w) >= {}", f.BITMAP: "bitmap"}
_LOSSES = {f.CROSS_ENTROPY: "cross entropy", f.SQUARED_ERROR: "squared error to a target",
           f.RECONSTRUCTION: "squared error to the input"}
_BARS = " .:-=+*#%@"


def shape_text(shape: tuple[int, ...]) -> str:
    """ "8x13x13" of (8, 13, 13)."""
    return "x".join(map(str, shape))


def classes_lines(names: Sequence[str], counts: Sequence[int] = ()) -> list[str]:
    """ "classes: 0=cat (20), 1=owl (7)": numbers, names, images; no line without names."""
    if not names:
        return []
    shown = [f"{i}={name}" + (f" ({counts[i]})" if counts else "") for i, name in enumerate(names)]
    return ["classes: " + ", ".join(shown)]


def sound_lines(sound: Sound | None) -> list[str]:
    """A line on the sound that values are of; none where they are of no sound."""
    return [f"sound: {sound}"] if sound else []


def histogram_text(values: np.ndarray) -> str:
    """16 characters, one per range of 16 values from -128 on: the darker, the more."""
    counts = np.histogram(values, bins=16, range=(-128, 128))[0]
    most = max(1, int(counts.max()))
    return "".join(_BARS[-(-int(n) * (len(_BARS) - 1) // most)] for n in counts)


def describe_model(model: Model, pico_kernels: Sequence[str] = ()) -> dict[str, Any]:
    """What `priot inspect --json` writes of a model. pico_kernels: what runs each stage there."""
    stages = model.stages
    return {
        "kind": "model", "name": model.name, "crc32": f"{model.crc:08x}",
        "input": list(model.shape), "classes": model.classes,
        "spare": len(model.spare), "loss": _LOSSES[model.loss],
        "network": format_network(model.layers),
        "names": list(model.names), "scale": model.scale, "zero": model.zero,
        "scales": [list(channel) for channel in model.scales],
        "sound": model.sound and model.sound._asdict(),
        "weights": sum(stage.rows.size for stage in model.weight_stages),
        "activation_bytes": sum(int(np.prod(stage.shape_out)) for stage in stages),
        "argmax_bytes": sum(stage.argmax_bytes for stage in stages),
        "stages": [_describe_stage(stage, pico_kernels[i] if pico_kernels else None)
                   for i, stage in enumerate(stages)],
    }


def _describe_stage(stage: Stage, pico_kernel: str | None) -> dict[str, Any]:
    values = {
        "kind": stage.name, "input": list(stage.shape_in), "output": list(stage.shape_out),
        "relu": stage.relu, "pool": stage.window[0], "weights": 0, "pico_kernel": pico_kernel,
    }
    if stage.has_weights:
        weights = stage.rows
        values |= {
            "weights": weights.size,
            "largest_weight": int(np.abs(weights.astype(np.int16)).max()),
            "zero_weights": int((weights == 0).sum()),
            "weight_exponent": stage.weight_exponent,
            "forward_shift": stage.forward_shift, "backward_shift": stage.backward_shift,
            "update_bits_weights": stage.update_bits_weights,
            "update_bits_scores": stage.update_bits_scores,
        }
    return values


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """What `priot inspect --json` writes of a dataset."""
    return {
        "kind": "dataset", "samples": len(dataset), "image": list(dataset.shape),
        "classes": dataset.classes, "names": list(dataset.names), "scale": dataset.scale,
        "targets": dataset.n_targets,
        "zero": dataset.zero, "scales": [list(channel) for channel in dataset.scales],
        "sound": dataset.sound and dataset.sound._asdict(),
        "per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist(),
        "smallest_pixel": int(dataset.images.min()),
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
        "gmin": adapter.gmin, "halve": adapter.halve, "names": list(adapter.names),
        "parameters": sum(len(layer.values) for layer in adapter.layers),
        "layers": [_describe_adapter_layer(adapter, layer) for layer in adapter.layers],
    }


def _describe_adapter_layer(adapter: Adapter, layer: AdapterLayer) -> dict[str, Any]:
    values = {"layer": layer.index, "parameters": len(layer.values),
              "selection": "biases" if adapter.content == "biases" else
              _SELECTIONS[layer.selection].format(layer.tau)}
    if adapter.content in ("scores", "mask"):
        values["keep_percent"] = layer.keep_percent
        values["threshold"] = layer.threshold - 128
        values["kept"] = int(adapter.kept(layer).sum())
    if adapter.content != "mask" and len(layer.values):
        numbers = layer.values.astype(np.int64)
        values |= {
            "least": int(numbers.min()), "greatest": int(numbers.max()),
            "mean": round(float(numbers.mean()), 2), "zero": int((numbers == 0).sum()),
        }
        if adapter.content != "biases":
            values["histogram"] = np.histogram(numbers, bins=16, range=(-128, 128))[0].tolist()
    return values
