"""What a file of the host is called on a board, and that no two are called the same."""

import os
import unicodedata
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from priot.errors import PriotError

PART = ".part"  # what follows the name of a file that is not complete
RECORDS = ".more"  # what follows the name of a dataset's new samples
TEMPORARY = ".tmp"  # of what the device package writes
_NAME_BYTES = 255 - len(RECORDS + PART)  # littlefs takes 255
_FOLDERS = ("lib", "priot")  # where MicroPython looks for modules, and what hides the package
_DATASETS = (".prd", ".npz", ".csv", ".tsv")  # endings that .prd takes the place of
# What Windows does not take in a file's name.
_WINDOWS = frozenset('<>:"\\|?*')


def board_path(source: PurePath | str) -> str:
    """The name that a file of the host gets on the board: /NAME. Raises PriotError."""
    path = source if isinstance(source, PurePath) else Path(source)
    return _checked(path.name or Path(path).resolve().name, source)


def given_path(name: str) -> str:
    """The path of a file on the board that was asked for by its name there. Raises PriotError."""
    plain = name.removeprefix("/")
    if "/" in plain or "\\" in plain:
        raise PriotError(name, "files lie in the board's root folder, in none of their own: "
                         "give a name without / and \\")
    return _checked(plain, name)


def dataset_path(source: PurePath | str) -> str:
    """The name on the board of a dataset made of a file or folder: /NAME.prd.

    Only the endings of datasets are replaced: kitchen.1 becomes kitchen.1.prd. Raises PriotError.
    """
    path = PurePosixPath(board_path(source))
    is_dataset = path.suffix.lower() in _DATASETS
    return _checked((path.stem if is_dataset else path.name) + ".prd", source)


def _checked(name: str, source: object) -> str:
    if not name.strip(". ") or any(c < " " or c == "\x7f" for c in name):
        raise PriotError(repr(str(source)), "is no name for a file on the board")
    if len(name.encode(errors="surrogateescape")) > _NAME_BYTES:
        raise PriotError(source, f"a name on the board has at most {_NAME_BYTES} bytes")
    path = PurePosixPath(name)
    if path.suffix in (PART, RECORDS, TEMPORARY):
        raise PriotError(source, f"names that end in {path.suffix} are those of files that are "
                         "not complete; rename it")
    if name in _FOLDERS or path.suffix in (".py", ".mpy"):
        raise PriotError(source, "would be taken for a module on the board; rename it")
    return f"/{name}"


class Names:
    """The names that one command gives to files on a board."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, PurePath | str]] = {}

    def give(self, path: str, source: PurePath | str) -> str:
        """Note a name and its source; returns it. Raises PriotError where another has it.

        Names that differ in the case of letters alone are one to some file systems.
        """
        key = unicodedata.normalize("NFC", path).casefold()
        name, other = self._given.setdefault(key, (path, source))
        if _real(other) != _real(source):
            raise PriotError(source, f"{other} has the same name on the board, {name}, and one of "
                             "them would replace the other: rename it")
        return path


def _real(source: PurePath | str) -> str:
    return os.path.realpath(source)


def host_path(folder: Path, name: str, windows: bool = os.name == "nt") -> Path:
    """Where a file of the board goes in a folder of the host. Raises PriotError."""
    if windows and (_WINDOWS & set(name) or name[-1:] in ". "
                    or PureWindowsPath(name).is_reserved()):
        raise PriotError(name, "is no name for a file on Windows; rename it on the board with "
                         "mpremote, or take its bytes with Board.read")
    return folder / name
