"""The device package and its native modules as files of a board, and bringing them there."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from priot.board.errors import BoardError
from priot.board.files import Files
from priot.package import compile_package, package_source
from priot.paths import native_module
from priot.processors import BOARD_MODULES, PICO, named

PACKAGE = "/lib/priot"
NATIVE = tuple(f"/lib/{name}.mpy" for name in BOARD_MODULES)
# What MicroPython would import instead of the installed files: it looks in "/" before /lib.
_HIDING = ("/priot", *(
    f"{folder}/{name}.{ending}" for name in ("priot", *BOARD_MODULES)
    for folder, ending in (("", "py"), ("", "mpy"), ("/lib", "py"))), "/lib/priot.mpy")


@dataclass
class Copied:
    """A file on the board; `sent` is False where it was there already.

    replaced: whether another file of that name was there.
    """

    path: str
    size: int
    sent: bool
    replaced: bool = False

    @property
    def state(self) -> str:
        """What became of it, in words."""
        return "replaced another" if self.replaced else "copied" if self.sent else "was there"


def package_files(processor: str = PICO.name) -> dict[str, bytes]:
    """Contents of every file for a board, by its path there: the package and native modules.

    processor: by MicroPython's name; processors.py says what it gets. From a wheel, which has no
    compiler, those for which nothing is compiled get the source. Raises PriotError.
    """
    gets = named(processor)
    folder = compile_package(gets.package) / "priot"
    if not folder.is_dir():
        folder = package_source() / "priot"
    found = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.*py"))}
    for name in gets.modules:
        found[f"/lib/{name}.mpy"] = native_module(gets.native, name).read_bytes()
    return found


def copy_all(files: Files, contents: Mapping[str, bytes],
             show_progress: bool = False) -> list[Copied]:
    """Copy files that the board does not have. Raises BoardError."""
    there = files.digests(contents)
    missing = {path: data for path, data in contents.items()
               if there.get(path) != hashlib.sha256(data).hexdigest()}
    with _bar(sum(map(len, missing.values())), show_progress) as bar:
        for path, data in missing.items():
            bar.set_description(path)
            files.put(data, path, bar.update)
    return [Copied(path, len(data), path in missing, path in missing and path in there)
            for path, data in contents.items()]


def install(files: Files, processor: str, show_progress: bool = False) -> list[Copied]:
    """Bring package and native modules to the board. Raises BoardError."""
    contents = package_files(processor)
    in_root = {f"/{entry.name}" for entry in files.listing("/")}
    in_lib = {f"/lib/{entry.name}" for entry in files.listing("/lib")}
    hiding = sorted((in_root | in_lib) & set(_HIDING))
    if hiding:
        raise BoardError(hiding[0], "would be imported instead of the package in /lib; remove it "
                         f"with 'mpremote rm -r :{hiding[0]}'")
    for path in NATIVE:
        if path in in_lib and path not in contents:
            files.remove(path)  # of another processor's firmware, which the board ran before
    files.make_folder(PACKAGE)
    for entry in files.listing(PACKAGE):
        path = f"{PACKAGE}/{entry.name}"
        # a module of another version, or a .py file, which would be imported instead of its .mpy
        if path not in contents and path.removesuffix(".part") not in contents:
            files.remove(path)
    return copy_all(files, contents, show_progress)


@contextmanager
def _bar(n: int, show: bool) -> Iterator[tqdm]:
    hide = None if show and n else True  # None: shown on a terminal only
    with tqdm(total=n, unit="B", unit_scale=True, disable=hide, leave=False) as bar:
        yield bar
