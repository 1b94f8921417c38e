"""What several tests share: small random networks and datasets, and running MicroPython."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from priot.formats import Dataset, Model
from priot.formats.model import Layer
from priot.network.spec import parse_network
from priot.package import compile_package
from priot.paths import DEVICE, native_module, tool
from priot.targets import NATIVE_BACKENDS

HEAP_BYTES = 2_000_000
SHIM = Path(__file__).parent / "cpython"  # stands for MicroPython's modules


def random_model(spec: str, shape: tuple[int, int, int], seed: int, classes: int = 10) -> Model:
    """A model with random weights and shifts that keep its activations alive."""
    rng = np.random.default_rng(seed)
    layers = parse_network(spec)
    channels, height, width = shape
    for layer in layers:
        _fill(layer, channels, height * width, rng)
        one = Model("one", (channels, height, width), classes, [layer])
        channels, height, width = _shape_after(one, layer, (channels, height, width))
    return Model("random", shape, classes, layers)


def _fill(layer: Layer, channels: int, area: int, rng: np.random.Generator) -> None:
    if not layer.n_out:
        return
    kernel = max(1, layer.kernel)
    weights = np.clip(np.rint(rng.normal(0, 40, (layer.n_out, channels, kernel, kernel))),
                      -127, 127).astype(np.int8)
    layer.weights = weights if layer.kernel else weights.reshape(layer.n_out, channels)
    n_row = channels * kernel * kernel
    layer.weight_exponent = 6
    layer.forward_shift = 5 + max(1, n_row).bit_length() // 2
    layer.backward_shift = 5 + (layer.n_out * kernel * kernel).bit_length() // 2
    layer.update_bits_weights = 13
    layer.update_bits_scores = 19


def _shape_after(model: Model, layer: Layer, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    channels, height, width = shape
    if layer.weights.size and layer.kernel:
        size = [(n + 2 * layer.padding - layer.kernel) // layer.stride + 1
                for n in (height, width)]
        return layer.n_out, size[0], size[1]
    if layer.weights.size:
        return layer.n_out, 1, 1
    if layer.kernel:
        size = [(n - layer.kernel) // layer.stride + 1 for n in (height, width)]
        return channels, size[0], size[1]
    if layer.kind == 6:
        return channels * height * width, 1, 1
    return shape


def random_dataset(model: Model, n: int, seed: int) -> Dataset:
    """Images 0..127, mostly dark as digits are, and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 128, (n, *model.shape)) * (rng.random((n, *model.shape)) < 0.4)
    return Dataset(images.astype(np.uint8), rng.integers(0, model.classes, n).astype(np.uint8),
                   model.classes)


def micropython_command(script: Path | str, *arguments: str, backend: str = "viper",
                        heap_bytes: int = HEAP_BYTES) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run a script (a path, or code) with the device package."""
    folders = [compile_package("x64")]
    if backend in NATIVE_BACKENDS:
        folders.append(native_module("x64").parent)
    environment = dict(os.environ, MICROPYPATH=os.pathsep.join(map(str, folders)))
    what = [str(script)] if isinstance(script, Path) else ["-c", script]
    command = [str(tool("micropython")), "-X", f"heapsize={heap_bytes}", *what, *arguments]
    return command, environment


def micropython(script: Path | str, *arguments: str, backend: str = "viper",
                heap_bytes: int = HEAP_BYTES) -> subprocess.CompletedProcess:
    """Run a script on the unix port to its end; a failure is an AssertionError."""
    command, environment = micropython_command(script, *arguments, backend=backend,
                                               heap_bytes=heap_bytes)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result


def cpython_environment() -> dict[str, str]:
    """Environment of a CPython in which `import priot` is the device package."""
    return dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, (DEVICE, SHIM))))


def import_device(module: str = ""):
    """The device package, or a module of it, on CPython under the name `device_priot`.

    `priot` is the host's package; that of the device has relative imports only.
    """
    if str(SHIM) not in sys.path:
        sys.path.append(str(SHIM))
    if "device_priot" not in sys.modules:
        sys.modules["device_priot.kernels_viper"] = None  # CPython has no viper
        spec = importlib.util.spec_from_file_location(
            "device_priot", DEVICE / "priot" / "__init__.py",
            submodule_search_locations=[str(DEVICE / "priot")])
        package = importlib.util.module_from_spec(spec)
        sys.modules["device_priot"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"device_priot.{module}" if module else "device_priot")
