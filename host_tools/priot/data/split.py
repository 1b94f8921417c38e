"""Images of a user divided into those to learn and those to test."""

from hashlib import blake2b

import numpy as np

from priot.data.images import Images


def stratified(images: Images, percent: int, seed: int) -> tuple[Images, Images]:
    """Images to learn, and of each class `percent`, rounded, to test.

    A hash of pixels and seed says which: copies of an image are on one side, and few images change
    sides when others are added. One of each class at least is learned and, where there are
    several that differ, one tested.
    """
    key = seed.to_bytes(8, "little")
    digests = [blake2b(image.tobytes(), digest_size=8, key=key).digest()
               for image in images.pixels]
    tested = np.zeros(len(images), bool)
    for label in np.unique(images.labels):
        order = sorted(np.flatnonzero(images.labels == label), key=digests.__getitem__)
        n = min(max(1, (percent * len(order) + 50) // 100), len(order) - 1)
        while n and digests[order[n]] == digests[order[n - 1]]:
            n -= 1
        tested[order[:n]] = True
    return images.take(~tested), images.take(tested)
