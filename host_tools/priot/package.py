"""Compiles the device package with mpy-cross, so that loading it costs a board little RAM."""

import os
import subprocess
import tempfile
from pathlib import Path

from priot.errors import PriotError
from priot.paths import BUILD, DEVICE, tool

ARCHITECTURES = ("armv6m", "x64")


def compile_package(arch: str) -> Path:
    """Compile device/priot/*.py for "armv6m" or "x64"; returns the folder that holds `priot/`.

    Only what changed is compiled. Raises PriotError where mpy-cross refuses a file.
    """
    folder = BUILD / "device" / arch
    (folder / "priot").mkdir(parents=True, exist_ok=True)
    sources = sorted((DEVICE / "priot").glob("*.py"))
    compiler = tool("mpy-cross").stat().st_mtime
    for source in sources:
        compiled = folder / "priot" / (source.stem + ".mpy")
        newest = max(compiler, source.stat().st_mtime)
        if not compiled.exists() or compiled.stat().st_mtime < newest:
            _compile(arch, source, compiled)
    names = {source.stem for source in sources}
    for stale in (folder / "priot").glob("*.mpy"):
        if stale.stem not in names:
            stale.unlink()
    return folder


def _compile(arch: str, source: Path, compiled: Path) -> None:
    # Under a name of its own first: several runs may compile at once.
    handle, temporary = tempfile.mkstemp(suffix=".mpy", dir=compiled.parent.parent)
    os.close(handle)
    command = [str(tool("mpy-cross")), f"-march={arch}", "-s", f"priot/{source.name}",
               "-o", temporary, str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        os.unlink(temporary)
        raise PriotError(str(source), "mpy-cross: " + " ".join(result.stderr.split()))
    os.replace(temporary, compiled)
