"""Images in folders, one folder per class."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from priot.data.classes import class_name, class_names, natural
from priot.data.images import Images, checked
from priot.data.pictures import (
    Picture,
    deep_extent,
    fitted,
    in_8_bits,
    is_picture,
    is_stretched,
    open_picture,
)
from priot.data.reading import Reading, listed
from priot.data.values import Range, range_text, to_bytes, usual_range
from priot.errors import FileError, mismatch

# What systems leave in folders; hidden ones begin with a dot.
_SYSTEM = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information",
                     "lost+found"})


@dataclass
class _Found:
    """Names of the classes, their picture files with labels, and a line on each thing left out."""

    names: tuple[str, ...] = ()
    files: list[tuple[Path, int]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_folders(path: Path, _test: bool, reading: Reading) -> Images:
    """Images from one sub-folder per class, named as the folder, in natural order of the names.

    A folder is a class where pictures lie in it. All images are brought to the size that is asked
    for, or must be of one. Raises FileError, OSError.
    """
    found = _find(path, reading)
    for line in found.left_out:
        reading.note(f"left out: {line}", usual=True)
    opened = _open_all(found.files, reading)
    images = [picture.image for _, _, picture in opened if picture.image is not None]
    channels = reading.channels
    if channels not in (1, 3):
        grey = sum(picture.grey for _, _, picture in opened)
        channels = 1 if grey == len(opened) else 3
        stored_grey = all(image.mode == "L" for image in images)
        if channels == 1 and not stored_grey:
            reading.note("all pictures are grey: one channel (--no-grey keeps three)", usual=True)
        elif channels == 3 and grey:
            reading.note(f"{len(opened) - grey} of {len(opened)} pictures are in colour: three "
                         "channels for all (--grey makes it one)")
    mode = "L" if channels == 1 else "RGB"
    for image, (file, _, _) in zip(images, opened, strict=True):
        if image.size != images[0].size:
            raise FileError(file, mismatch("width, height", image.size, images[0].size)
                            + ", or --resize")
    pixels = np.array([np.atleast_3d(np.asarray(image.convert(mode))) for image in images],
                      np.uint8)
    labels = np.array([label for _, label, _ in opened])
    return checked(path, pixels.transpose(0, 3, 1, 2), labels, len(found.names), found.names)


def _find(path: Path, reading: Reading) -> _Found:
    """The folders that are classes, and their pictures. Raises FileError."""
    found = _Found()
    by_name: dict[str, list[Path]] = {}
    deeper = []
    entries = sorted(path.iterdir(), key=lambda entry: natural(entry.name))
    for folder in [entry for entry in entries if entry.is_dir()]:
        if folder.name.startswith(".") or folder.name in _SYSTEM:
            found.left_out.append(f"folder {folder.name}, of the system")
            continue
        pictures, other = _contents(folder)
        inner = [name for name, holds in _folders_in(folder) if holds]
        if not pictures:
            deeper += [folder] if inner else []
            what = f"pictures only deeper: {listed(inner)}" if inner else (
                "no pictures" + (f" but {_endings(other)}" if other else ""))
            found.left_out.append(f"folder {folder.name}, {what}")
            continue
        if inner:
            found.left_out.append(f"folders in {folder.name}: {listed(inner)}")
        if other:
            found.left_out.append(f"in {folder.name}, no pictures: {_endings(other)}")
        name = class_name(folder.name, folder)
        if name in by_name:
            raise FileError(folder, f"there are two folders {name}")
        by_name[name] = pictures
    loose = [entry for entry in entries if entry.is_file() and is_picture(entry)]
    if loose:
        found.left_out.append(f"pictures beside the folders: {len(loose)}, as {loose[0].name}")
    found.names = _numbered(path, by_name, deeper, reading)
    found.files = [(file, found.names.index(name)) for name, files in by_name.items()
                   for file in files]
    return found


def _numbered(path: Path, by_name: dict[str, list[Path]], deeper: list[Path],
              reading: Reading) -> tuple[str, ...]:
    """Names of all classes, those of the user where there are some. Raises FileError."""
    if reading.names:
        for name in by_name:
            if name not in reading.names:
                raise FileError(path / name, f"expected one of the classes "
                                f"{listed(reading.names)}")
        if by_name:
            return class_names(reading.names, path)
    elif by_name and reading.classes:
        return tuple(by_name)  # with_classes asks for numbers where they are not all
    elif 1 <= len(by_name) <= 256:
        if len(by_name) == 1:
            reading.note(f"one class, {next(iter(by_name))}: what an autoencoder takes; of a part "
                         "of the classes: --for FILE or --classes NAME,NAME,...")
        return tuple(by_name)
    hint = ""
    if deeper:
        hint = f"; there are pictures deeper: give {' or '.join(map(str, deeper[:3]))}"
    raise FileError(path, mismatch("sub-folders with pictures, one a class", len(by_name),
                                   "1..256") + hint)


def _contents(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The pictures of a folder in the order of their names, and the endings of other files."""
    files = [file for file in sorted(folder.iterdir())
             if file.is_file() and not file.name.startswith(".")]
    pictures = [file for file in files if is_picture(file)]
    return pictures, Counter(file.suffix.lower() or file.name
                             for file in files if not is_picture(file)
                             and file.name.lower() not in ("thumbs.db", "desktop.ini"))


def _folders_in(folder: Path) -> Iterator[tuple[str, bool]]:
    """Folders in a folder, and whether there are pictures in each."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.name.startswith(".") and inner.name not in _SYSTEM:
            yield inner.name, any(is_picture(file) for file in inner.rglob("*"))


def _endings(found: Counter[str]) -> str:
    return ", ".join(f"{ending} ({n})" for ending, n in found.most_common(5))


def _open_all(files: list[tuple[Path, int]], reading: Reading) -> list[tuple[Path, int, Picture]]:
    """Every picture in 8 bits and of the size that is wanted. Raises FileError."""
    opened: list[tuple[Path, int, Picture]] = []
    bad: list[FileError] = []
    lows: list[tuple[float, float, bool]] = []
    told: Counter[str] = Counter()
    for file, label in files:
        try:
            picture = open_picture(file, reading.ground)
            if picture.deep is not None:
                lows.append(deep_extent(file, picture))
                picture.deep = None  # read again when the range of all is known
        except FileError as error:
            if not reading.skip_bad:
                raise FileError(file, f"{error.what}; --skip-bad leaves such files out") from None
            bad.append(error)
            continue
        told.update(name for name in ("turned", "composed", "first") if getattr(picture, name))
        if picture.image is not None:
            image = picture.image
            if reading.range:
                image = Image.fromarray(to_bytes(np.asarray(image), reading.range))
            _fit(picture, image, reading, told)
        opened.append((file, label, picture))
    if bad:
        reading.note(f"left out: unreadable pictures: {len(bad)}, as {bad[0]}")
    if not opened:
        raise FileError(files[0][0].parent.parent, "no images")
    if lows:
        _read_deep(opened, lows, reading, told)
    _tell(told, len(opened), reading)
    return opened


def _read_deep(opened: list[tuple[Path, int, Picture]], extents: list[tuple[float, float, bool]],
               reading: Reading, told: Counter[str]) -> None:
    """Bring the pictures of more than 8 bits to 8, all by the same range. Raises FileError."""
    low, high = min(low for low, _, _ in extents), max(high for _, high, _ in extents)
    deep = [(file, picture) for file, _, picture in opened if picture.image is None]
    black_white: Range = reading.range or usual_range(
        deep[0][0], low, high, all(whole for _, _, whole in extents))
    for file, picture in deep:
        again = open_picture(file, reading.ground)
        _fit(picture, in_8_bits(again, black_white), reading, told)
    read_as = range_text(low, high, black_white)
    reading.note(f"{len(deep)} of {len(opened)} pictures have more than 8 bits: {read_as}"
                 + ("" if reading.range else " (--range says otherwise)"))


def _fit(picture: Picture, image: Image.Image, reading: Reading, told: Counter[str]) -> None:
    told["stretched"] += is_stretched(image, reading)
    picture.image = fitted(image, reading.size, reading.fit, reading.ground)


def _tell(told: Counter[str], total: int, reading: Reading) -> None:
    ground = "#{:02x}{:02x}{:02x}".format(*reading.ground)
    for name, text in (
            ("turned", "were turned upright, as their EXIF orientation says"),
            ("composed", f"had a transparent ground: filled with {ground} (--background)"),
            ("first", "hold several pictures: the first is taken"),
            ("stretched", "were stretched to the size (--crop or --fit keep proportions)")):
        if told[name]:
            reading.note(f"{told[name]} of {total} pictures {text}",
                         usual=name in ("turned", "first"))
