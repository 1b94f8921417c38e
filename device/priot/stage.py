"""A stage: a layer with its ReLU and pooling, one kernel call of the forward pass."""

from . import fields as F

_KINDS = {F.CONV2D: "conv2d", F.LINEAR: "linear", F.MAX_POOL2D: "max_pool2d",
          F.AVG_POOL2D: "avg_pool2d"}


class Stage:
    """One kernel call of the forward pass: a layer with its ReLU and pooling (DESIGN.md)."""

    def __init__(self, kind, d):
        self.kind = kind
        self.d = d
        self.index = -1  # among the layers with weights
        self.exponent = 0  # we: a weight w stands for (w - 128) * 2^-we
        self.shifts = (0, 0)  # fs, bs of the file
        self.bits_weights = 0  # gb: bits of the largest dW, for UPDATE_SHIFT
        self.bits_scores = 0  # gb: bits of the largest dW * w
        self.x = self.y = self.argmax = b""
        self.w = b""  # the backbone's weights, offset bytes
        self.weff = b""  # what the forward pass uses: w, or effective weights
        self.rows = None  # operands of effective_weights, where weff holds only some rows
        self.plan = 0

    def size_out(self):
        d = self.d
        return d[F.N_OUT] * d[F.H_OUT] * d[F.W_OUT]

    def n_edges(self):
        return self.d[F.N_OUT] * self.d[F.N_ROW] if self.index >= 0 else 0

    def argmax_bytes(self):
        d = self.d
        if d[F.POOL] == 1 or self.kind == F.AVG_POOL2D:
            return 0
        return d[F.N_OUT] * ((d[F.H_OUT] * d[F.W_OUT] * d[F.ARGMAX_BITS] + 7) >> 3)

    def __repr__(self):
        d = self.d
        text = _KINDS[self.kind]
        if self.kind == F.CONV2D:
            text += " %dx%d" % (d[F.KERNEL], d[F.KERNEL])
            if d[F.STRIDE] > 1:
                text += " stride %d" % d[F.STRIDE]
            if d[F.PADDING]:
                text += " pad %d" % d[F.PADDING]
            if d[F.POOL] > 1:
                text += ", max-pool %d" % d[F.POOL]
        elif self.index < 0:
            text += " %d" % d[F.POOL]
        if d[F.RELU]:
            text += ", relu"
        return "%s: %dx%dx%d -> %dx%dx%d" % (
            text, d[F.N_IN], d[F.H_IN], d[F.W_IN], d[F.N_OUT], d[F.H_OUT], d[F.W_OUT])
