"""Turns what a user has (a dataset file, arrays, images in folders) into a Dataset."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.data.reading import Reading
from priot.errors import PriotError
from priot.formats import Dataset
from priot.reports.describe import classes_lines

Source = Dataset | Path | str | np.ndarray


def as_dataset(source: Source, labels: np.ndarray | None = None,
               classes: int | Sequence[str] | None = None,
               reading: Reading | None = None) -> Dataset:
    """A Dataset from a .prd file, an .npz file, a folder with one folder per class, or arrays.

    Arrays: images [n][h][w], [n][h][w][c] or [n][c][h][w] with labels [n]; they become 0..127 as
    files of images do. classes: how many, where the labels do not reach the last one, or their
    names. reading: how they are read; what it leaves open goes by rule. Raises PriotError,
    OSError.
    """
    # Imported here: most commands need no images, and these bring scipy and Pillow.
    from priot.data.arrays import from_arrays
    from priot.data.classes import class_names, with_classes
    from priot.data.images import Images
    from priot.data.look import check_look
    from priot.data.prepare import finish, to_dataset
    from priot.data.sources import SOURCES, load, source_of

    reading = reading or Reading()
    if isinstance(classes, int):
        reading = replace(reading, classes=classes)
    elif classes is not None:
        reading = replace(reading, names=class_names(classes, "classes"))
    where: object = "images"
    kind = "arrays"
    if isinstance(source, (str, Path)):
        where, kind = Path(source), source_of(Path(source))
        if kind == "dataset":
            source = Dataset.read(source)
    if isinstance(source, Dataset):
        source.check()
        reading.check("dataset", SOURCES["dataset"].takes)
        values = source.images if source.signed else source.images << 1
        if source.n_targets:
            return source  # no classes and no pictures
        images = with_classes(where, Images(values, source.labels, source.classes,
                                            source.names), reading)
        if source.signed:  # no pictures: nothing of them is resized or inverted
            dataset = replace(source, labels=images.labels, classes=images.classes,
                              names=images.names)
        else:
            dataset = replace(to_dataset(finish(images, reading)), scale=source.scale,
                              zero=source.zero, scales=source.scales)
    elif isinstance(source, np.ndarray):
        if labels is None:
            raise PriotError("push", "arrays of images need labels")
        reading.check("arrays", SOURCES["arrays"].takes)
        images = from_arrays(where, source, np.asarray(labels), reading)
        dataset = to_dataset(finish(with_classes(where, images, reading), reading))
    else:
        dataset = to_dataset(finish(load(kind, Path(source), reading=reading), reading))
    if not isinstance(source, Dataset):
        check_look(where, dataset, reading)
    for line in classes_lines(dataset.names, np.bincount(
            dataset.labels, minlength=dataset.classes).tolist()):
        reading.note(f"{where}: {line}", usual=True)
    dataset.check()
    return dataset


def reading_for(source: Source, reading: Reading, classes: int, names: tuple[str, ...],
                shape: tuple[int, int, int]) -> Reading:
    """How a folder of images is read that joins a file of these classes and this shape.

    What the user has chosen stays. Raises PriotError, OSError.
    """
    from priot.data.sources import source_of

    if isinstance(source, (Dataset, np.ndarray)) or source_of(Path(source)) != "folders":
        return reading
    if not reading.names and reading.classes is None:
        reading = replace(reading, names=names, classes=None if names else classes)
    return replace(reading, size=reading.size or shape[1:],
                   channels=reading.channels or shape[0])
