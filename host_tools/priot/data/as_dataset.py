"""Turns what a user has (a dataset file, arrays, images in folders) into a Dataset."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.errors import PriotError
from priot.formats import Dataset

Source = Dataset | Path | str | np.ndarray


def as_dataset(source: Source, labels: np.ndarray | None = None,
               classes: int | None = None) -> Dataset:
    """A Dataset from a .prd file, an .npz file, a folder with one folder per class, or arrays.

    Arrays: images uint8 0..255 [n][h][w], [n][h][w][c] or [n][c][h][w] with labels [n]; they are
    halved to 0..127 as files of images are. classes: more than the largest label asks for.
    Raises PriotError, OSError.
    """
    # Imported here: most commands need no images, and these bring scipy and Pillow.
    from priot.data.prepare import to_dataset
    from priot.data.sources import from_arrays, load

    if isinstance(source, np.ndarray):
        if labels is None:
            raise PriotError("push", "arrays of images need labels")
        dataset = to_dataset(from_arrays("images", source, np.asarray(labels)))
    elif isinstance(source, Dataset):
        dataset = source
    elif Path(source).is_dir():
        dataset = to_dataset(load("folders", Path(source)))
    elif Path(source).suffix == ".npz":
        dataset = to_dataset(load("arrays", Path(source)))
    else:
        dataset = Dataset.read(source)
    if classes is not None:
        names = dataset.names if classes == dataset.classes else ()
        dataset = replace(dataset, classes=classes, names=names)
    dataset.check()
    return dataset
