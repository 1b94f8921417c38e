"""Writes a release: `python -m priot.package.release [FOLDER]`, which `make release` calls.

The folder (dist) gets the wheel; for each processor a folder of .mpy files, and one of source for
all others, each for `mpremote mip install` (package.json) and for plain copying (lib); SHA256SUMS.
The same sources and tools give the same bytes, wherever the checkout lies.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from priot.errors import PriotError
from priot.package import compile_package, package_source
from priot.package.bundle import native_modules, version
from priot.paths import ROOT
from priot.processors import ARCHITECTURES


def release(folder: Path) -> None:
    """Write the release into a folder, which it replaces. Raises PriotError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_board_files(folder / "source", package_source(), [])
    for arch in ARCHITECTURES:
        write_board_files(folder / arch, compile_package(arch), native_modules(arch))
    build_wheel(folder)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256((folder / path).read_bytes()).hexdigest()}  {path.as_posix()}\n"
            for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums))


def write_board_files(folder: Path, package: Path, modules: Sequence[Path]) -> None:
    """What goes to a board: lib, as /lib there, and package.json, which lists it for mip."""
    shutil.copytree(package / "priot", folder / "lib" / "priot")
    for path in modules:
        shutil.copyfile(path, folder / "lib" / path.name)
    names = sorted(path.relative_to(folder / "lib").as_posix()
                   for path in (folder / "lib").rglob("*.*"))
    urls = ",\n".join(f"    {json.dumps([name, f'lib/{name}'])}" for name in names)
    (folder / "package.json").write_text(
        f'{{\n  "urls": [\n{urls}\n  ],\n  "version": "{version()}"\n}}\n')


def build_wheel(folder: Path) -> None:
    """The wheel, in an environment that pip makes for it. Raises PriotError."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
               "--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        ours = [line for line in said if line.startswith("priot: ")]
        raise PriotError("wheel", f"pip wheel failed: {(ours or said or ['no message'])[-1]}")


def main(arguments: Sequence[str]) -> int:
    """Write the release; 1 and a line where that fails."""
    folder = Path(arguments[0]) if arguments else ROOT / "dist"
    try:
        release(folder)
    except PriotError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"written to {folder}:")
    for path in sorted(folder.iterdir()):
        print(f"  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
