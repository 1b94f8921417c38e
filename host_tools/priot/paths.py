"""Where the things that set-up builds lie."""

import os
import shutil
from pathlib import Path

from priot.errors import PriotError

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
DEVICE = ROOT / "device"
BACKBONES = ROOT / "host_tools" / "backbones"


def tool(name: str, target: str = "setup") -> Path:
    """A program that set-up put in build/bin, or PRIOT_<NAME> in the environment.

    Raises PriotError naming the make target that brings it.
    """
    override = os.environ.get(f"PRIOT_{name.upper().replace('-', '_')}")
    found = Path(override) if override else BUILD / "bin" / name
    if found.exists():
        return found
    on_path = shutil.which(name)
    if on_path and not override:
        return Path(on_path)
    raise PriotError(name, f"not found at {found}; run 'make {target}'")


# Modules of native code by architecture: portable C, and kernels made for the processor.
NATIVE_MODULES = {"x64": ("priot_portable",), "armv6m": ("priot_native", "priot_portable")}


def native_module(arch: str, name: str = "priot_portable") -> Path:
    """A module of native code for "x64" or "armv6m". Raises PriotError."""
    path = BUILD / "native" / arch / f"{name}.mpy"
    if not path.exists():
        raise PriotError(str(path), "not built; run 'make native'")
    return path
