"""What one layer learns: scores for some of its edges, and the effective weights they make."""

from . import fields as F
from . import methods as M
from .calls import remembered

_EMPTY = bytearray(0)  # kernels want a buffer they may write to, even where it has no bytes


class LayerState:
    """The learned part of a layer. Sizes are known before anything is taken.

    is_mask: there are no scores, only the effective weights that a mask says.
    """

    def __init__(self, net, stage, rule, selection=F.ALL, tau=0, n_selected=0, is_mask=False):
        self.net = net
        self.stage = stage
        self.rule = rule
        self.selection = selection
        self.tau = tau
        self.is_mask = is_mask
        self.n_edges = stage.n_edges()
        self.n_params = self.n_edges if selection == F.ALL else n_selected
        if rule == M.ONLY_BIAS:
            self.n_params = stage.d[F.N_OUT]
        self.scores = self.select = _EMPTY
        self.keep = 0  # percent kept by top-k, 0: fixed threshold
        self._top = ()  # operands of kth_largest
        self._all = None  # operands of effective_weights, where they are kept
        self.in_force = -1  # the threshold of which the effective weights are
        self.update_bits = 0  # of the largest change of a step, where scales are dynamic

    # ---- sizes -------------------------------------------------------------------------------

    def score_bytes(self):
        """Bytes of the scores."""
        return 0 if self.rule in (M.WEIGHTS, M.ONLY_BIAS) or self.is_mask else self.n_params

    def select_bytes(self):
        """Bytes of what says which edges have a score."""
        if self.selection == F.ALL:
            return 0
        starts = 4 * self.stage.d[F.N_OUT]
        return starts + ((self.n_edges + 7) >> 3) if self.selection == F.BITMAP else starts

    # ---- preparing ---------------------------------------------------------------------------

    def describe(self, rounding, threshold):
        """Write the method into the layer's descriptor."""
        d = self.stage.d
        d[F.RULE] = M.FROZEN if self.rule == M.ONLY_BIAS else self.rule
        d[F.ROUNDING] = rounding
        d[F.THRESHOLD] = threshold
        d[F.SELECTION] = self.selection
        d[F.TAU] = self.tau

    def bind(self, scratch):
        """Remember operands, once all buffers are there; scratch: for top-k."""
        self._top = (self.scores, scratch)
        stage = self.stage
        if len(stage.weff) and stage.rows is None and self.rule < M.WEIGHTS and not self.is_mask:
            self._all = self.row_operands(stage.weff)

    def row_operands(self, weff):
        """Operands of effective_weights, or of what reads the flash: `weff` holds all rows, or
        some."""
        stage = self.stage
        if stage.flash:
            return stage.flash.operands(weff, self.scores, self.select, stage.d)
        return remembered(self.net.kernels, (weff, stage.w, self.scores, self.select, stage.d))

    def refresh(self):
        """Recompute threshold and kept effective weights from the scores."""
        if self.rule >= M.WEIGHTS:
            return
        self.in_force = -1
        if self.keep:
            self.follow_threshold()
        else:
            self._refresh_weights()

    def follow_threshold(self):
        """Top-k: the k-th largest score is the threshold; where it moved, so do the weights.

        Right also where Ctrl-C broke it off and it is run again.
        """
        k = max(1, self.n_params * self.keep // 100)
        threshold = self.net.kernels.kth_largest(self._top, k)
        if threshold != self.in_force:
            self.stage.d[F.THRESHOLD] = threshold
            self._refresh_weights()
            self.in_force = threshold

    def _refresh_weights(self):
        """All effective weights, where they are kept."""
        if self._all is not None:
            flash = self.stage.flash
            (flash.take if flash else self.net.kernels.effective_weights)(self._all)

    def set_step(self, u, halvings):
        """Set the update shift for a step size u that was halved some times."""
        stage = self.stage
        bits, least = stage.bits_scores, 0
        if self.rule == M.WEIGHTS:
            bits = stage.bits_weights
        elif self.rule == M.WIDE:
            bits = stage.bits_weights - 8  # steps of the lower byte
        elif self.rule == M.ONLY_BIAS:
            bits, least = stage.bits_bias + 6 - stage.shifts[0], -30
        stage.d[F.UPDATE_SHIFT] = max(least, min(30, bits - u + halvings))

    # ---- looking ------------------------------------------------------------------------------

    def bitmap(self):
        """The selection bits of a BITMAP layer, without the row starts."""
        return self.select[4 * (self.n_edges // self.stage.d[F.N_ROW]):]  # classes may be added

    def n_pruned(self):
        """Edges whose score lies below the threshold."""
        if self.rule != M.PRUNE:
            return 0
        return self.net.kernels.count_below((self.scores,), self.stage.d[F.THRESHOLD])

