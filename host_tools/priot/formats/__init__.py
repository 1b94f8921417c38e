"""Model, dataset and adapter files: the byte tables, and classes that read and write them.

All numbers are little-endian. Reserved bytes, and fields that a kind does not use, are zero.
A file is refused unless every byte of it is accounted for.

Prefix, common to all:

    offset  type  field
    0       4s    magic
    4       u16   version, 1
    6       u16   header size: where the payload starts (prefix and tables included)
    8       u32   file size in bytes
    12      u32   CRC32 (zlib's) of all bytes from 16 on

Model, magic `PRIM`. The CRC32 is the identity of a backbone.

    16      16s   name, UTF-8, padded with zeros
    32      u16   channels, height, width of the input; classes (2..256)
    40      u16   number of layers, at most 256
    42      u16   reserved
    44      u32   bytes of weights (the payload)
    48      16 bytes for each layer:
            0     u8   kind: 1 conv2d, 2 linear, 3 relu, 4 max_pool2d, 5 avg_pool2d, 6 flatten
            1     u8   kernel (conv2d 1..15) or window (pools 2..15)
            2     u8   stride (conv2d and pools, 1..15)
            3     u8   padding (conv2d, 0..kernel - 1)
            4     u16  filters or outputs (conv2d, linear)
            6     u16  reserved
            8     i8   weight exponent we: a weight is w * 2^-we
            9     i8   forward shift fs, 0..30
            10    i8   backward shift bs, 0..30
            11    i8   update bits of weights, 0..31: bit length of the largest dW
            12    i8   update bits of scores, 0..31: bit length of the largest dW * w
            13         3 reserved
    then    the weights of each conv2d and linear layer: a byte w + 128 (never 0) per weight,
            [n_out][n_in][ky][kx], each layer padded with bytes 128 to a multiple of 4

Dataset, magic `PRID`.

    16      u32   samples n, at least 1
    20      u16   channels, height, width; classes (2..256)
    28      u32   reserved
    32      n samples: the image, a byte 0..127 per pixel [channel][y][x], and a byte, the label

Adapter, magic `PRIA`: what a method learned, for one backbone.

    16      u32   CRC32 of the backbone
    20      u8    content: 1 scores, 2 mask, 3 gains, 4 weights
    21      u8    method: 1 priot, 2 priot-s, 3 gain, 4 weights, 5 niti, 6 head
    22      u16   trained layers
    24      u32   seed
    28      u32   state of the random number generator
    32      u16   epochs done
    34      i8    step u
    35      u8    rounding of the update: 0 RHU, 1 PSR
    36      u8    start of the scores: 0 zeros, 1 normal
    37      u8    gmin
    38      u16   epochs after which the step is halved, 0: never
    40            8 reserved
    48      16 bytes for each trained layer:
            0     u16  which, counting conv2d and linear layers from 0; ascending
            2     u8   selection: 0 all edges, 1 those with abs(w) >= tau, 2 bitmap
            3     u8   tau: 1..127 for selection 1; for a bitmap 0, or what it was made with
            4     u8   threshold, an offset byte; means nothing in gains and weights
            5     u8   keep: percent of the scored edges kept, 0 for a fixed threshold; at most 96
            6     u16  reserved
            8     u32  parameters
            12    u32  bytes in the payload
    then    per layer a bitmap (selection 2 only) and the values, each padded with zeros to a
            multiple of 4. Bitmap: a bit per edge of the layer, set where it has a parameter.
            Scores, gains, weights: a byte v + 128 per parameter (a weight's is never 0).
            Mask: a bit per parameter, set where the edge is kept.
            Bits are counted from the lowest of each byte, unused ones are zero.
"""

from priot.formats.adapter import Adapter, AdapterLayer
from priot.formats.container import read_magic
from priot.formats.dataset import Dataset
from priot.formats.model import Layer, Model

__all__ = ["Adapter", "AdapterLayer", "Dataset", "Layer", "Model", "read_magic"]
