"""Whether converted images show anything."""

import numpy as np

from priot.data.reading import Reading
from priot.errors import PriotError
from priot.formats import Dataset

_FLAT = 3  # of 0..127: an image whose values span no more shows nothing


def check_look(where: object, dataset: Dataset, reading: Reading) -> None:
    """Warn of images of one value, or nearly.

    Raises PriotError where all images of several classes are of one and the same value; a class
    of its own may be that: nothing before the camera.
    """
    images = dataset.images.reshape(len(dataset), -1)
    low, high = int(images.min()), int(images.max())
    if low == high and len(np.unique(dataset.labels)) > 1:
        raise PriotError(where, f"every pixel of all images is {low} of 0..127: nothing to learn"
                         + _hint(reading))
    flat = np.ptp(images, axis=1) <= _FLAT
    if flat.any() and images.shape[1] > 1:
        first = int(flat.argmax())
        label = int(dataset.labels[first])
        name = dataset.names[label] if dataset.names else label
        reading.note(f"warning: {int(flat.sum())} of {len(dataset)} images are of one value or "
                     f"nearly, as number {first}, of class {name}" + _hint(reading))
    elif high - low < 64 and images.size > 1:
        reading.note(f"warning: pixels are {low}..{high} of 0..127: little contrast"
                     + _hint(reading))


def _hint(reading: Reading) -> str:
    return "" if reading.range else " (are --range and --background right?)"
