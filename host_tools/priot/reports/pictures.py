"""Pictures that stand in a page: images of a dataset, and which edges a layer has pruned."""

import base64
import io

import numpy as np
from PIL import Image

PRUNED, KEPT, WITHOUT = 0, 1, 2  # an edge: pruned, kept, without a score
_GAP = 3
_IMAGE_PIXELS = 128  # a larger image is made smaller
_MASK_PIXELS = 640  # a mask is drawn up to this width and height, a pixel an edge


def _address(image: Image.Image, **options: bytes) -> str:
    """A PNG inside an address."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture(pixels: np.ndarray) -> str:
    """An image uint8 0..127 [channels][height][width] as an address.

    Three channels are colours; any other number is drawn one below the other.
    """
    channels, height, width = pixels.shape
    bright = np.minimum(255, pixels.astype(np.uint16) * 255 // 127).astype(np.uint8)
    if channels == 3:
        image = Image.fromarray(np.ascontiguousarray(bright.transpose(1, 2, 0)), "RGB")
    else:
        image = Image.fromarray(bright.reshape(channels * height, width), "L")
    image.thumbnail((_IMAGE_PIXELS, _IMAGE_PIXELS))
    return _address(image)


def mask_picture(edges: np.ndarray, shape: tuple[int, ...]) -> tuple[str, int, int] | None:
    """Address, width and height of a layer's edges; None where it is too large to be seen.

    edges: PRUNED, KEPT or WITHOUT, [edges]; shape: of the layer's weights. Of a conv2d layer
    every kernel is a tile, a column of tiles an output; of a linear layer a row is an output.
    """
    if len(shape) == 4:
        grid = _tiles(edges.reshape(shape))
    else:
        grid = edges.reshape(shape)
    height, width = grid.shape
    if max(height, width) > _MASK_PIXELS:
        return None
    image = Image.fromarray(grid.astype(np.uint8), "P")
    # pruned: the accent, as it is seen on light and dark; kept and gaps: the page's ground
    image.putpalette([0x3B, 0x7D, 0xC4, 0, 0, 0, 0x80, 0x80, 0x80, 0, 0, 0])
    return _address(image, transparency=bytes([255, 0, 70, 0])), width, height


def _tiles(edges: np.ndarray) -> np.ndarray:
    """[n_out][n_in][ky][kx] side by side, a pixel apart."""
    n_out, n_in, ky, kx = edges.shape
    grid = np.full((n_in, ky + 1, n_out, kx + 1), _GAP, np.uint8)
    grid[:, :ky, :, :kx] = edges.transpose(1, 2, 0, 3)
    return grid.reshape(n_in * (ky + 1), n_out * (kx + 1))[:-1, :-1]
