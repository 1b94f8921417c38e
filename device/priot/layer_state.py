"""What one layer learns: scores for some of its edges, and the effective weights they make."""

from . import fields as F
from .network import by_rows

_EMPTY = bytearray(0)  # kernels want a buffer they may write to, even where it has no bytes


class LayerState:
    """Buffers and kernel calls of one trained layer. Sizes are known before anything is taken."""

    def __init__(self, net, stage, rule, selection, tau=0, n_selected=0):
        self.net = net
        self.stage = stage
        self.rule = rule
        self.selection = selection
        self.tau = tau
        self.n_edges = stage.n_edges()
        self.n_params = self.n_edges if selection == F.ALL else n_selected
        self.scores = self.select = _EMPTY
        self.keep = 0  # percent kept by top-k, 0: fixed threshold
        self.update_bits = 0  # of the largest change of a step, where scales are dynamic

    # ---- memory ------------------------------------------------------------------------------

    def score_bytes(self):
        return 0 if self.rule == F.WEIGHTS else self.n_params

    def select_bytes(self):
        if self.selection == F.ALL:
            return 0
        starts = 4 * self.stage.d[F.N_OUT]
        return starts + ((self.n_edges + 7) >> 3) if self.selection == F.BITMAP else starts

    def kept_bytes(self):
        """Bytes of the effective weights when all of them are kept."""
        return 0 if self.rule == F.WEIGHTS else self.n_edges

    def row_step(self, row_bytes):
        """Rows that a row buffer holds: a divisor of the number of rows, so that all are alike."""
        n_out, n_row = self.stage.d[F.N_OUT], self.stage.d[F.N_ROW]
        step = max(1, min(n_out, row_bytes // n_row))
        while n_out % step:
            step -= 1
        return step

    def take(self, carver):
        self.scores = carver.take(self.score_bytes())
        self.select = carver.take(self.select_bytes())

    # ---- preparing ---------------------------------------------------------------------------

    def describe(self, rounding, threshold):
        """Write the method into the layer's descriptor."""
        d = self.stage.d
        d[F.RULE] = self.rule
        d[F.ROUNDING] = rounding
        d[F.THRESHOLD] = threshold
        d[F.SELECTION] = self.selection
        d[F.TAU] = self.tau

    def use(self, weff, step=0):
        """Make the forward pass use the effective weights, `step` rows at a time or all (0)."""
        stage = self.stage
        stage.weff = weff
        stage.rows = None
        stage.d[F.ROW] = 0
        stage.d[F.ROWS] = step or stage.d[F.N_OUT]
        if step:
            stage.rows = (weff, stage.w, self.scores, self.select, stage.d)

    def refresh(self):
        """Recompute threshold and kept effective weights from the scores."""
        if self.rule == F.WEIGHTS:
            return
        if self.keep:
            self._threshold()
        if self.stage.rows is None:
            self.net.kernels.effective_weights(self._all())

    def _all(self):
        stage = self.stage
        return stage.weff, stage.w, self.scores, self.select, stage.d

    def _threshold(self):
        d = self.stage.d
        d[F.KEEP_COUNT] = max(1, self.n_params * self.keep // 100)
        d[F.THRESHOLD] = self.net.kernels.kth_largest((self.scores, self.net.scratch, d))

    # ---- kernel calls of a training step -----------------------------------------------------

    def update_call(self, g):
        """(kernel, operands) that trains this layer from the gradient of its output."""
        stage = self.stage
        k = self.net.kernels_for(stage, F.PLAN_UPDATE)
        weff = stage.weff if stage.rows is None else _EMPTY
        if stage.kind == F.CONV2D:
            return k.conv2d_update, (self.scores, weff, g, stage.argmax, stage.x, stage.w,
                                     self.select, self.net.scratch, stage.d)
        return k.linear_update, (self.scores, weff, g, stage.x, stage.w, self.select,
                                 self.net.scratch, stage.d)

    def threshold_call(self):
        """(function, operands) that follows a moved k-th largest score."""
        k, d = self.net.kernels, self.stage.d
        return follow_threshold, (k.kth_largest, (self.scores, self.net.scratch, d),
                                  k.effective_weights if self.stage.rows is None else None,
                                  self._all(), d)

    # ---- selection ---------------------------------------------------------------------------

    def count_rows(self):
        """Fill the table of row starts; the bitmap, if there is one, is already set."""
        if self.selection == F.ALL:
            return
        d, n_row = self.stage.d, self.stage.d[F.N_ROW]
        total = 0
        for row in range(d[F.N_OUT]):
            for i in range(4):
                self.select[4 * row + i] = (total >> (8 * i)) & 255
            if self.selection == F.LARGEST:
                w = self.stage.w[row * n_row:(row + 1) * n_row]
                total += count_largest(self.net.kernels, w, self.tau, d)
            else:
                total += self._count_bits(row * n_row, (row + 1) * n_row)
        if total != self.n_params:
            raise ValueError("layer %d: %d edges selected, expected %d" % (
                self.stage.index, total, self.n_params))

    def _count_bits(self, first, end):
        bitmap = 4 * self.stage.d[F.N_OUT]
        n = 0
        for edge in range(first, end):
            n += (self.select[bitmap + (edge >> 3)] >> (edge & 7)) & 1
        return n

    def bitmap(self):
        """The selection bits of a BITMAP layer, without the row starts."""
        return self.select[4 * self.stage.d[F.N_OUT]:]

    def n_pruned(self):
        """Edges whose score lies below the threshold."""
        if self.rule != F.PRUNE:
            return 0
        return self.net.kernels.count_below((self.scores, self.stage.d))


def follow_threshold(operands):
    """Top-k after an update: where the k-th largest moved, recompute the effective weights."""
    kth_largest, kth_operands, effective_weights, operands_all, d = operands
    threshold = kth_largest(kth_operands)
    if threshold != d[F.THRESHOLD]:
        d[F.THRESHOLD] = threshold
        if effective_weights is not None:
            effective_weights(operands_all)


def backward_call(net, stage, dx, g):
    """(kernel, operands) that carries the gradient of a stage's output to its input."""
    k, d = net.kernels_for(stage, F.PLAN_BACKWARD), stage.d
    if stage.kind == F.MAX_POOL2D:
        return k.max_pool_backward, (dx, g, stage.argmax, stage.x, d)
    if stage.kind == F.AVG_POOL2D:
        return k.avg_pool_backward, (dx, g, stage.x, d)
    if stage.kind == F.CONV2D:
        return k.conv2d_backward_input, (
            dx, g, stage.argmax, stage.x, stage.weff, net.scratch, d)
    operands = (dx, g, stage.x, stage.weff, net.scratch, d)
    if stage.rows is None:
        return k.linear_backward_input, operands
    return by_rows, (k.linear_backward_input, operands, net.kernels.effective_weights,
                     stage.rows, d)


def count_largest(kernels, w, tau, d):
    """Number of offset weight bytes in w with abs(weight) >= tau."""
    kept = d[F.THRESHOLD]
    d[F.THRESHOLD] = 128 + tau
    n = len(w) - kernels.count_below((w, d))
    d[F.THRESHOLD] = 129 - tau
    n += kernels.count_below((w, d))
    d[F.THRESHOLD] = kept
    return n
