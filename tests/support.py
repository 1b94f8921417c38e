"""What several tests share: small random networks and datasets, and running MicroPython."""

import importlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from priot.formats import Dataset, Model
from priot.formats.model import INPUT_EXPONENT
from priot.jobs.protocol import NATIVE_BACKENDS
from priot.network import fields as f
from priot.network.link import addition_shift, exponents
from priot.network.spec import parse_network
from priot.network.stages import Stage, compile_layers
from priot.package import compile_package
from priot.paths import DEVICE, native_folders, tool

HEAP_BYTES = 2_000_000
# Seconds after which a process under test can only hang, however busy the machine is.
HANG_S = 1200
SHIM = Path(__file__).parent / "cpython"  # stands for MicroPython's modules


def random_model(spec: str, shape: tuple[int, int, int], seed: int, classes: int = 10,
                 loss: int = f.CROSS_ENTROPY) -> Model:
    """A model with random weights and shifts that keep its activations alive."""
    rng = np.random.default_rng(seed)
    stages = compile_layers(parse_network(spec), shape, classes, loss)
    for i, stage in enumerate(stages):
        if stage.has_weights:
            _fill(stage, rng)
        stage.forward_shift += stage.kind == f.ADD
        stage.b_shift = addition_shift(stage, exponents(stages[:i], INPUT_EXPONENT),
                                       INPUT_EXPONENT)
    target_exponent = -5 if loss == f.SQUARED_ERROR else 0
    return Model("random", shape, classes, stages, loss=loss, target_exponent=target_exponent)


def _fill(stage: Stage, rng: np.random.Generator) -> None:
    weights = np.clip(np.rint(rng.normal(0, 40, stage.weight_shape)), -127, 127)
    stage.weights = weights.astype(np.int8)
    if stage.bias is not None:
        stage.bias = rng.integers(-3000, 3000, stage.n_out).astype(np.int32)
        stage.update_bits_bias = 8
    stage.weight_exponent = 6
    stage.forward_shift = 5 + stage.n_row.bit_length() // 2
    stage.backward_shift = 5 + (stage.n_out * stage.kernel[0] * stage.kernel[1]).bit_length() // 2
    stage.update_bits_weights = 13
    stage.update_bits_scores = 19


def random_dataset(model: Model, n: int, seed: int) -> Dataset:
    """Images 0..127, mostly dark as digits are, and labels or the targets that a model wants.

    -127..127 for a model whose input is signed.
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(-127 * model.signed, 128, (n, *model.shape)) * (
        rng.random((n, *model.shape)) < 0.4)
    images = images.astype(np.int8 if model.signed else np.uint8)
    if model.n_targets:
        targets = rng.integers(-127, 128, (n, model.n_targets)).astype(np.int8)
        return Dataset(images, np.zeros(n, np.uint8), 1, targets=targets)
    if model.loss == f.RECONSTRUCTION:
        return Dataset(images, rng.integers(0, 3, n).astype(np.uint8), 3)
    return Dataset(images, rng.integers(0, model.classes, n).astype(np.uint8), model.classes)


def micropython_command(script: Path | str, *arguments: str, backend: str = "viper",
                        heap_bytes: int = HEAP_BYTES) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run a script (a path, or code) with the device package."""
    folders = [compile_package("x64")]
    if backend in NATIVE_BACKENDS:
        folders += native_folders()
    environment = dict(os.environ, MICROPYPATH=os.pathsep.join(map(str, folders)))
    what = [str(script)] if isinstance(script, Path) else ["-c", script]
    command = [str(tool("micropython")), "-X", f"heapsize={heap_bytes}", *what, *arguments]
    return command, environment


def micropython(script: Path | str, *arguments: str, backend: str = "viper",
                heap_bytes: int = HEAP_BYTES) -> subprocess.CompletedProcess:
    """Run a script on the unix port to its end; a failure is an AssertionError."""
    command, environment = micropython_command(script, *arguments, backend=backend,
                                               heap_bytes=heap_bytes)
    result = subprocess.run(command, env=environment, capture_output=True, text=True,
                            timeout=HANG_S)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result


def children(pid: int, part: str) -> list[int]:
    """Processes that another one started, whose command line holds some text."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if part in (path / "cmdline").read_text() and _stat(int(path.name))[1] == str(pid):
                found.append(int(path.name))
        except (OSError, IndexError):
            continue  # it has just ended
    return found


def working(process: subprocess.Popen, part: str, least_s: float = 0.3) -> int:
    """Wait until such a child of a process has computed for a while; its number."""
    while process.poll() is None:
        for child in children(process.pid, part):
            if computed_s(child) >= least_s:
                return child
        time.sleep(0.02)
    raise AssertionError(f"it has ended: {process.communicate()}")


def computed_s(pid: int) -> float:
    """Seconds of processor time that a process has had, 0 if it has ended."""
    return sum(map(int, _stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def ends(pid: int, more_s: float = 1.0) -> None:
    """Wait until a process that is not ours has ended, which may compute `more_s` until then."""
    until = computed_s(pid) + more_s
    deadline = time.monotonic() + HANG_S
    while _stat(pid)[:1] not in ([], ["Z"]):  # a zombie has ended, too
        assert computed_s(pid) < until and time.monotonic() < deadline, "it goes on"
        time.sleep(0.02)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


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
        spec = importlib.util.spec_from_file_location(
            "device_priot", DEVICE / "priot" / "__init__.py",
            submodule_search_locations=[str(DEVICE / "priot")])
        package = importlib.util.module_from_spec(spec)
        sys.modules["device_priot"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"device_priot.{module}" if module else "device_priot")
