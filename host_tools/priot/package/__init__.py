"""The device package as files for a board: folded, and compiled so that loading takes little RAM.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from priot.errors import PriotError
from priot.package import fold
from priot.paths import DEVICE, INSTALLED, ROOT, tool

_FOLDER = ROOT / "build" / "device"


def package_source() -> Path:
    """The package as source for any MicroPython; returns the folder that holds `priot/`.

    Only a changed package is folded again. Raises PriotError where Python cannot read a module.
    """
    folder = _FOLDER / "source"
    if INSTALLED:
        return folder
    sources = {path.stem: path.read_text() for path in sorted((DEVICE / "priot").glob("*.py"))}
    made_of = repr([sources, Path(fold.__file__).read_text()])
    key, stamp = hashlib.sha256(made_of.encode()).hexdigest(), folder / "stamp"
    if stamp.exists() and stamp.read_text() == key:
        return folder
    wanted = {f"{name}.py": text for name, text in fold.fold_package(sources).items()}
    _keep_only(folder / "priot", wanted)
    for name, text in wanted.items():
        path = folder / "priot" / name
        if not path.exists() or path.read_text() != text:
            _write(path, text.encode())
    _write(stamp, key.encode())
    return folder


def compile_package(arch: str) -> Path:
    """The package compiled for an architecture; returns the folder that holds `priot/`.

    Only what changed is compiled. Raises PriotError where mpy-cross refuses a file.
    """
    folder = _FOLDER / arch
    if INSTALLED:
        return folder
    sources = sorted((package_source() / "priot").glob("*.py"))
    _keep_only(folder / "priot", [f"{source.stem}.mpy" for source in sources])
    compiler = tool("mpy-cross").stat().st_mtime
    for source in sources:
        compiled = folder / "priot" / f"{source.stem}.mpy"
        newest = max(compiler, source.stat().st_mtime)
        if not compiled.exists() or compiled.stat().st_mtime < newest:
            _write(compiled, _compile(arch, source))
    return folder


def _compile(arch: str, source: Path) -> bytes:
    # -s: the name that tracebacks show, so that the file does not hold a path of this machine
    command = [str(tool("mpy-cross")), f"-march={arch}", "-s", f"priot/{source.name}",
               "-o", "-", str(source)]
    result = subprocess.run(command, capture_output=True)
    if result.returncode:
        said = " ".join(result.stderr.decode(errors="replace").split())
        raise PriotError(f"{DEVICE / 'priot' / source.name}", f"mpy-cross: {said}")
    return result.stdout


def _write(path: Path, content: bytes) -> None:
    # Under a name of its own first: several runs may write at once.
    handle, temporary = tempfile.mkstemp(dir=path.parent.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _keep_only(folder: Path, names: Iterable[str]) -> None:
    """Make a folder, or remove from it the files of an earlier package."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
