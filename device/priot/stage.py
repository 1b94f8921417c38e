"""A stage: a layer with its ReLU and pooling, one kernel call of the forward pass."""

from . import fields as F
from .kinds import CONV2D, KINDS

_QUICK = 1 << 18  # multiply-accumulates


class Stage:
    """A record of the model file, and where its tensors lie now."""

    bits_bias = 0  # as bits_weights, of the sum of the output's gradient; 0: trains no biases
    flash = None  # a FlashWeights, where the weights stay in flash; `w` is empty then

    def __init__(self, kind, d):
        self.kind = kind
        self.d = d
        self.index = -1  # among the stages with weights
        self.input = -1  # number of the stage whose output this one reads, -1: the image
        self.second = -2  # the other input of a sum, -2: none
        self.weight_exponent = 0  # we: a weight w stands for (w - 128) * 2^-we
        self.exponent = 0  # of the output: a value y stands for y * 2^exponent
        self.shifts = (0, 0)  # fs, bs of the file
        self.bits_weights = 0  # gb: bits of the largest dW, for UPDATE_SHIFT
        self.bits_scores = 0  # gb: bits of the largest dW * w
        self.offset = 0  # of the weights in the file's payload
        self.x = self.z = self.y = self.argmax = b""
        self.bias = b""
        self.bias_offset = 0  # where it begins in the payload
        self.w = b""  # the backbone's weights, offset bytes
        self.weff = b""  # what the forward pass uses: w, or effective weights
        self.rows = None  # operands of effective_weights, where weff holds only some rows
        self.plan = 0

    def size_out(self):
        """Bytes of the output."""
        d = self.d
        return d[F.N_OUT] * d[F.H_OUT] * d[F.W_OUT]

    def n_edges(self):
        """Number of weights."""
        return self.d[F.N_OUT] * self.d[F.N_ROW] if self.index >= 0 else 0

    def is_quick(self):
        """Whether its kernels are over so soon that checking their operands would matter."""
        d = self.d
        return self.n_edges() * d[F.H_CONV] * d[F.W_CONV] <= _QUICK

    def argmax_bytes(self):
        """Bytes that remember the winners of max-pooling."""
        d = self.d
        return d[F.N_OUT] * ((d[F.H_OUT] * d[F.W_OUT] * d[F.ARGMAX_BITS] + 7) >> 3)

    def row_step(self, n_bytes):
        """Rows for a buffer of n_bytes: a divisor of the number of rows, so that all are alike.

        All rows of a conv2d layer, whose gradient is computed at once; not where they come from
        flash.
        """
        n_out, n_row = self.d[F.N_OUT], self.d[F.N_ROW]
        if self.kind == CONV2D and self.flash is None:
            return n_out
        step = max(1, min(n_out, n_bytes // n_row))
        while n_out % step:
            step -= 1
        return step

    def parts(self):
        """Views of the backbone's weights, wherever they lie, in their order."""
        return self.flash.parts() if self.flash else [self.w]

    def backbone(self):
        """Forget every method: descriptor and weights as the file says."""
        d = self.d
        d[F.RULE] = d[F.ROUNDING] = d[F.THRESHOLD] = d[F.SELECTION] = d[F.TAU] = 0
        d[F.FORWARD_SHIFT], d[F.BACKWARD_SHIFT] = self.shifts
        d[F.UPDATE_SHIFT] = d[F.LOW_MEMORY] = d[F.MEASURE] = 0
        self.use(self.w)

    def use(self, weff, rows=None):
        """Compute with these weights: all of them, or as many rows as `weff` holds.

        rows: the operands of effective_weights that fill `weff` again and again.
        """
        d = self.d
        self.weff = weff
        self.rows = rows
        d[F.ROW] = 0
        d[F.ROWS] = len(weff) // d[F.N_ROW] if rows else d[F.N_OUT]

    def __repr__(self):
        d = self.d
        text = KINDS[self.kind][0]
        if self.kind == CONV2D:
            text += " %dx%d" % (d[F.KERNEL_H], d[F.KERNEL_W])
            if d[F.STRIDE_H] > 1:
                text += " stride %d" % d[F.STRIDE_H]
            if d[F.PAD_TOP]:
                text += " pad %d" % d[F.PAD_TOP]
            if d[F.POOL_H] > 1:
                text += ", max-pool %d" % d[F.POOL_H]
        elif self.index < 0:
            text += " %dx%d" % (d[F.POOL_H], d[F.POOL_W])
        if d[F.RELU]:
            text += ", relu"
        return "%s: %dx%dx%d -> %dx%dx%d" % (
            text, d[F.N_IN], d[F.H_IN], d[F.W_IN], d[F.N_OUT], d[F.H_OUT], d[F.W_OUT])
