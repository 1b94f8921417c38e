"""Where things lie: in a checkout, with what set-up built, or inside an installed wheel.

A wheel brings a folder `bundle` that is laid out as a checkout is; nothing is ever written there.
"""

import difflib
import functools
import os
import shutil
from pathlib import Path

from priot.errors import PriotError

_BUNDLE = Path(__file__).resolve().parent / "bundle"
INSTALLED = _BUNDLE.is_dir()  # from a wheel: no set-up, no compiler
ROOT = _BUNDLE if INSTALLED else Path(__file__).resolve().parents[2]
DEVICE = ROOT / "device"
BACKBONES = ROOT / "host_tools" / "backbones"


def _build_folder() -> Path:
    if not INSTALLED:
        return ROOT / "build"
    if "PRIOT_BUILD" in os.environ:
        return Path(os.environ["PRIOT_BUILD"]).absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "priot"


# What set-up builds, and the files of programs that run: of a checkout; beside a wheel, that of
# the checkout that PRIOT_BUILD names, or the user's cache.
BUILD = _build_folder()
# The flash and the port of the emulated Pico of `priot pico`, when nothing else is said.
PICO_FOLDER = BUILD / "pico"
PICO_PORT = PICO_FOLDER / "port"

# Modules of native code by architecture, "x64-avx2" for processors that have it: portable C,
# kernels made for the processor, what makes samples of sensors into inputs, and what reads weights
# that stay in flash.
NATIVE_MODULES = {"x64": ("priot_portable", "priot_features", "priot_flash"),
                  "x64-avx2": ("priot_portable",),
                  "armv6m": ("priot_native", "priot_portable", "priot_features", "priot_layers",
                             "priot_flash")}
# For x64 alone: what the modules for the Pico would choose and take.
PLANNING_MODULE = "priot_plan"


def nearest(path: Path | str) -> Path | None:
    """The file that was meant by a path where there is none: one of nearly that name.

    It lies in the same folder or, for a name without a folder, among the backbones.
    """
    path = Path(path)
    folders = [path.parent] + [BACKBONES] * (path.name == str(path))
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())
             if file.is_file() and not file.name.startswith(".")]
    for file in files:
        if path.name == file.stem:
            return _shown(file)
    alike = {file: difflib.SequenceMatcher(None, path.name, file.name).ratio() for file in files}
    best = max(files, key=alike.__getitem__, default=None)
    return _shown(best) if best and alike[best] >= 0.7 else None


def _shown(file: Path) -> Path:
    file = file.absolute()
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


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
    raise PriotError(name, f"not found at {found}; {how_to_get(target)}")


def how_to_get(target: str) -> str:
    """What to do where something is missing that a make target builds."""
    if INSTALLED:
        return f"run 'make {target}' in a checkout and give PRIOT_BUILD=its build folder"
    return f"run 'make {target}'"


def native_folders() -> list[Path]:
    """Where MicroPython here finds native code, best first. Raises PriotError."""
    return [native_module(arch).parent for arch in ("x64-avx2", "x64")
            if arch == "x64" or _has_avx2()]


@functools.cache
def _has_avx2() -> bool:
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def native_module(arch: str, name: str = "priot_portable") -> Path:
    """A module of native code by its architecture, see NATIVE_MODULES. Raises PriotError."""
    path = ROOT / "build" / "native" / arch / f"{name}.mpy"
    if not path.exists():
        raise PriotError(str(path), "not built; run 'make native'")
    return path
