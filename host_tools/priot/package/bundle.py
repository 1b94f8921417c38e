"""What a wheel brings beside the host's code: the device package, native modules, backbones.

The bundle is laid out as a checkout is (priot/paths.py finds it). It is written while a wheel is
built, where Python has nothing but its own library.
"""

import ast
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from priot.errors import PriotError
from priot.package import compile_package, package_source
from priot.paths import (
    BACKBONES,
    BUILD,
    DEVICE,
    ROOT,
    native_module,
)
from priot.processors import ARCHITECTURES, NATIVE_MODULES, PLANNING_MODULE

_SETUP = ROOT / "host_tools" / "setup" / "setup.sh"
# What pip tells a build about the environment that it made for it: set-up makes its own.
_OF_PIP = ("PYTHONPATH", "PYTHONNOUSERSITE", "PIP_BUILD_TRACKER", "PEP517_BUILD_BACKEND")


def version() -> str:
    """The project's version, which stands in device/priot/__init__.py. Raises PriotError."""
    path = DEVICE / "priot" / "__init__.py"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise PriotError(path, "gives no __version__")


def native_modules(arch: str) -> list[Path]:
    """All modules of native code for an architecture, if any. Raises PriotError."""
    return [native_module(arch, name) for name in NATIVE_MODULES.get(arch, ())]


def write_bundle(folder: Path) -> None:
    """Write a wheel's bundle; runs set-up where something is not built. Raises PriotError."""
    _build_what_lacks()
    _copy(BACKBONES.glob("*.priot"), folder / BACKBONES.relative_to(ROOT))
    _copy((DEVICE / "priot").glob("*.py"), folder / "device" / "priot")
    built = folder / "build"
    _copy((package_source() / "priot").glob("*.py"), built / "device" / "source" / "priot")
    for arch in ARCHITECTURES:
        _copy((compile_package(arch) / "priot").glob("*.mpy"), built / "device" / arch / "priot")
    for arch in NATIVE_MODULES:
        _copy(native_modules(arch), built / "native" / arch)
    _copy([native_module("x64", PLANNING_MODULE)], built / "native" / "x64")


def _copy(paths: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _build_what_lacks() -> None:
    needed = [BUILD / "native" / arch / f"{name}.mpy"
              for arch, names in (*NATIVE_MODULES.items(), ("x64", (PLANNING_MODULE,)))
              for name in names]
    if all(path.exists() for path in (*needed, BUILD / "bin" / "mpy-cross")):
        return
    environment = {name: value for name, value in os.environ.items() if name not in _OF_PIP}
    # a variant of an architecture, as x64-avx2, comes with it
    command = [str(_SETUP), *(f"native_{arch}" for arch in NATIVE_MODULES if "-" not in arch)]
    try:
        status = subprocess.run(command, env=environment).returncode
    except OSError:
        status = 1
    if status:
        raise PriotError("native modules", "not built; run 'make native' in the checkout first")
