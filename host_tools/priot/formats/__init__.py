"""Files of models, datasets and adapters, to the byte; this package reads and writes them.

This is version 2. The host reads version 1 too (version1.py), `priot convert` makes 2 of it.
All numbers are little-endian. Reserved bytes are zero. Readers refuse everything that is not
written here, and device and host refuse the same: every byte of a file is accounted for.

Prefix, common to all:

    offset  type  field
    0       4s    magic
    4       u16   version, 2
    6       u16   header size: where the payload starts (prefix, tables and names included)
    8       u32   file size in bytes
    12      u32   CRC32 (zlib's) of all bytes from 16 on

Names of the classes follow the tables of every kind of file: UTF-8, each ended by a zero byte, the
whole padded with zeros to a multiple of 4; either none at all or one for each class. A name has
1..63 bytes and no control characters (below 32, 127..159). An adapter may have more than its
backbone, whose names come first: those of added classes, one for each spare output in use. The
last layer then has as many outputs as there are names.

Model, magic `PRIM`: compiled stages. The CRC32 is the identity of a backbone.

    16      16s   name, text as a class's, padded with zeros
    32      u16   channels, height, width of the input; outputs of the last stage
    40      u8    loss: 0 cross entropy (outputs are classes, 2..256); 1 squared error of 1..32767
                  outputs, to a target that comes with the sample; 2 the same to the sample itself,
                  of which there are as many values as outputs. 1 and 2: no names, nothing spare
    41      u8    flags: 1 the input is signed, -127..127; otherwise it is 0..127; 2 its values
                  are log-mel columns of sound
    42      i8    exponent of the input: a value v stands for v * 2^exponent
    43      u8    spare outputs, the last ones: classes (outputs without them) are 2 or more
    44      u16   stages, 1..256
    46      u16   bytes of the names, padding included
    48      f32   scale of the input: v = round(x / scale) + zero of what a sensor gives; finite,
                  0: not known
    52      i32   zero
    56      u32   bytes of the payload
    60      u16   channels with a scale of their own: none (0) or all
    62      i8    exponent of a target (loss 1; of the others 0)
    63      u8    reserved
    64      64 bytes for each stage:
            0     u8   kind, a number of device/priot/kinds.py
            1     u8   flags: 1 a ReLU ends the stage
            2     u16  filters, outputs; channels of a pool or a sum
            4     u8   kernel: height, width (1, 1 unless conv2d)
            6     u8   stride of the kernel: down, across (1, 1 unless conv2d)
            8     u8   zero padding: top, bottom, left, right (0 unless conv2d)
            12    u8   pooling window: height, width (1, 1: none)
            14    u8   stride of the window: down, across (1, 1 without one)
            16    u16  groups, a divisor of channels and outputs (1 unless conv2d)
            18    i16  input: the number of an earlier stage, -1 the image
            20    i16  second input of a sum, -2: none
            22    u8   largest output, 127 or what the upper clamp of a ReLU says, 1..126
            23    i8   shift to the left that brings the second input of a sum to the exponent of
                       the first, of the first to that of the second where below 0; -15..15
            24    i16  exponent of the output: that of the input (of a sum: the finer one) +
                       forward shift - weight exponent
            26    i8   weight exponent we: a weight is w * 2^-we
            27    u8   forward shift fs, 0..30
            28    u8   backward shift bs, 0..30
            29    u8   update bits of weights, 0..31: bit length of the largest dW
            30    u8   update bits of scores, 0..31: bit length of the largest dW * w
            31    u8   update bits of the bias, 0..31: about the bit length of the largest sum of
                       an output's gradient; 0: there is no bias, or it cannot be trained
            32    u32  where the weights begin in the payload; 0xFFFFFFFF: there are none
            36    u32  where the bias begins: int32 for each output, at the exponent of the
                       accumulator; 0xFFFFFFFF: there is none
            40    u32  where shifts by row begin; 0xFFFFFFFF: there are none
            44         20 reserved
    then    the names; then 8 bytes for each channel with a scale of its own: f32 scale, i32 zero;
        then, where values are of sound, 8 bytes:
            0     u16  rate: samples a second, 4000..48000
            2     u16  frame: samples that a column sees, 128, 256 or 512
            4     u16  hop: samples from one column to the next, 1..frame
            6          2 reserved
then    the payload, in the order of the stages: a byte w + 128 (never 0) per weight,
            [n_out][n_in / groups][ky][kx], padded with bytes 128 to a multiple of 4; then the bias

Stages stand in the order in which they are computed; the output of every one but the last is
read by others. A linear stage reads its input as one row, a pool has as many outputs as its input
channels and no shifts or bits. Kernels and windows have sides of 1..63 and an area of at most
225, strides are 1..15; a global pool's window is its input. At most 2^23 values in a tensor
(padding included) and weights in a stage; 131072 weights in a row, positions of a stage with
weights, and outputs of a group * kernel area (each side of the kernel times ceil(window / its
stride)); a bias of at most 2^31 - 1 - 127 * 127 * weights in a row: so every sum fits int32. The
last stage has no ReLU.

Where channels have scales of their own, each is a normal float32 above 0, and that of all is 0.

What no kernel computes yet is refused: shifts by row.

Dataset, magic `PRID`.

    16      u32   samples n, at least 1
    20      u16   channels, height, width; classes (1..256; where samples have no labels 1)
    28      u16   bytes of a target: 1, the label; or of a vector
    30      u8    flags: 1 values are signed, -127..127, otherwise they are 0..127; 2 a target is a
                  vector of values -127..127 (int8), and there is one class; 4 values are log-mel
                  columns of sound
    31      u8    reserved
    32      u16   bytes of the names, padding included
    34      u16   channels with a scale of their own: none (0) or all
    36      f32   scale, as of a model
    40      i32   zero
    44      u32   reserved
    48      the names; then 8 bytes for each channel with a scale of its own, and 8 where values
            are of sound, as of a model
    then    n samples: the values, a byte each, [channel][y][x], and the target

Adapter, magic `PRIA`: what a method learned, for one backbone. Methods go with contents: those
that prune with 1 and 2, gain with 3, those that train weights with 4, bias with 5.

    16      u32   CRC32 of the backbone
    20      u8    content: 1 scores, 2 mask, 3 gains, 4 weights, 5 biases,
                  6 weights of 16 bits
    21      u8    method: 1 priot, 2 priot-s, 3 gain, 4 weights, 5 niti, 6 head, 7 bias
    22      u16   trained layers
    24      u32   seed
    28      u32   state of the random number generator
    32      u16   epochs done
    34      i8    step u
    35      u8    rounding of the update: 0 RHU, 1 PSR
    36      u8    start of the scores: 0 zeros, 1 normal
    37      u8    gmin
    38      u16   epochs after which the step is halved, 0: never
    40      u16   bytes of the names, padding included
    42            6 reserved
    48      16 bytes for each trained layer, then the names:
            0     u16  which, counting conv2d and linear layers from 0; ascending
            2     u8   selection: 0 all edges, as of a mask and biases; 1 those with abs(w) >= tau;
                       2 bitmap
            3     u8   tau: 1..127 for selection 1; for a bitmap 0, or what it was made with
            4     u8   threshold, an offset byte; means nothing in gains, weights, biases
            5     u8   keep: percent of the scored edges kept, 0 for a fixed threshold; at most 96,
                       0 in gains, weights and biases
            6     u16  reserved
            8     u32  parameters, at least 1
            12    u32  bytes in the payload
    then    per layer a bitmap (selection 2 only) and the values, each padded with zeros to a
            multiple of 4. Bitmap: a bit per edge of the layer, set where it has a parameter.
            Scores, gains, weights: a byte v + 128 per parameter (a weight's is never 0).
            Mask: a bit per parameter, set where the edge is kept.
            Biases: int32 for each output, within the limits of a model's.
            Bits are counted from the lowest of each byte, unused ones are zero.
"""

from priot.formats.adapter import Adapter, AdapterLayer
from priot.formats.container import read_magic
from priot.formats.dataset import Dataset
from priot.formats.model import Model

__all__ = ["Adapter", "AdapterLayer", "Dataset", "Model", "read_magic"]
