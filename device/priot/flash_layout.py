"""The memory of a network whose weights stay in flash; imported for such networks alone.

They come to RAM as effective weights of some rows, each time they are wanted; with kept effective
weights as they are, for updates alone. The gradient of a convolution's input takes them by
channels. Both share places with what does not live at that moment.
"""

from array import array

from . import fields as F
from . import methods as M
from .calls import BACKWARD, EMPTY, UPDATE, kernel_of
from .in_flash import (backward_call, raw_operands, update_call, update_columns_call,
                       verified)
from .kinds import CONV2D, KINDS
from .layout import Layout

_STREAM_BYTES = 9216  # of weights that are taken at a time, at least; a call takes long
# bytes of scratch up to which the fast kernels of a backward pass are tried
_MOST_SCRATCH = (65536, 49152, 36864, 28672, 0)


class FlashLayout(Layout):
    """A Layout whose stages with `flash` set leave their weights there.

    most: bytes of scratch up to which the fast kernels of a backward pass are taken with "small",
    those of a forward pass always; 0: all kernels take the least.
    """

    def __init__(self, net, layers=(), first=None, small=False, dynamic=False, most=0):
        self.most = most
        self._streams = {}
        self._backs = {}
        Layout.__init__(self, net, layers, first, small, dynamic)

    @classmethod
    def smaller(cls, net, layers, first, dynamic, room):
        for most in _MOST_SCRATCH:
            found = cls(net, layers, first, True, dynamic, most)
            if found.size <= room:
                break
        return found

    @property
    def parts(self):
        """In how many parts the weights of trained layers come, about: each is a call."""
        return sum([-(-layer.n_edges // _STREAM_BYTES) for layer in self.layers
                    if layer.stage.flash])

    # ---- what there is -----------------------------------------------------------------------

    def _is_least(self):
        return self.name == "small" and not self.most

    def by_rows(self, layer):
        return layer.stage.flash is None and Layout.by_rows(self, layer)

    def _keeps(self, layer):
        return not self._is_streamed(layer.stage) and Layout._keeps(self, layer)

    def _is_streamed(self, stage):
        """Whether a stage's weights lie in flash, and no effective ones are kept of them."""
        layer = self._of.get(id(stage))
        return stage.flash is not None and (
            layer is None or layer.rule == M.ONLY_BIAS
            or (self.name == "small" and layer.rule < M.WEIGHTS and not layer.is_mask))

    def _want_rows(self):
        """Room for weights that come from the flash, in the forward pass and in the backward one.

        _backs: of a stage the pieces (weights, cursors), then the descriptor of a part of it for
        the gradient of its input, some channels, or None where rows do; and for its update, some
        channels where some edges of a convolution are trained, else some rows.
        """
        Layout._want_rows(self)
        for i, stage in enumerate(self.net.stages):
            if not stage.flash:
                continue
            is_streamed = self._is_streamed(stage)
            is_trained = self._needs[i] and self._has_update(stage)
            if is_streamed or is_trained:
                if self.dynamic:
                    raise ValueError("niti: measures every layer, and the weights of layer %d "
                                     "stay in flash" % stage.index)
                self._streams[i] = self.work.want(0, i + 1, i + 1)
                self.least_row_bytes = _STREAM_BYTES
            passes_on = is_streamed and self._needs[i] and self._passes_on(stage)
            if passes_on or is_trained:
                self._backs[i] = self._want_back(i, stage, passes_on)

    def _want_back(self, i, stage, passes_on):
        d, moment = stage.d, self._backward(i)
        of_columns, of_update, n_bytes, n_cursors = None, array("i", d), 0, 0
        by_columns = self._by_columns(stage)
        if by_columns or (passes_on and stage.kind == CONV2D):
            of_columns = array("i", d)
            taps = d[F.KERNEL_H] * d[F.KERNEL_W]
            channels = _channels(d[F.N_IN], taps, _STREAM_BYTES // d[F.N_OUT])
            of_columns[F.N_IN] = of_columns[F.GROUP_IN] = channels
            of_columns[F.N_ROW] = channels * taps
            of_columns[F.ROWS] = d[F.N_OUT]
            n_bytes = d[F.N_OUT] * channels * taps
            n_cursors = 8 * d[F.N_OUT] if d[F.SELECTION] else 0
            of_update = array("i", of_columns)
            of_columns[F.RULE] = of_columns[F.SELECTION] = 0
            self._plan_part(stage.kind, 1, of_columns)
        if not by_columns:
            of_update = array("i", d)
            rows = stage.row_step(max(n_bytes, _STREAM_BYTES))
            of_update[F.N_OUT] = of_update[F.GROUP_OUT] = of_update[F.ROWS] = rows
            n_bytes = max(n_bytes, rows * d[F.N_ROW])
        self._plan_part(stage.kind, 2, of_update)
        return (self.work.want(n_bytes, moment, moment),
                self.work.want(n_cursors, moment, moment), of_columns, of_update)

    def _by_columns(self, stage):
        """Whether a layer is updated some channels at a time: its scores are packed row by row."""
        return (stage.kind == CONV2D and stage.d[F.SELECTION] == F.LARGEST
                and self._is_streamed(stage))

    def _plan_part(self, kind, training, d):
        """Choose the kernels of a backward pass for a part of a layer: fast ones, portable ones
        where those want too much scratch, or these where they take the least."""
        self._plan(kind, d)
        if self.most and 4 * self._words_of(kind, training, d) > self.most:
            d[F.PLAN_BACKWARD if training == 1 else F.PLAN_UPDATE] = 0
            if 4 * self._words_of(kind, training, d) > self.most:
                d[F.LOW_MEMORY] = 1

    def _place_rows(self, row_bytes):
        self.row_bytes = row_bytes
        for i, piece in self._streams.items():
            self.work.pieces[piece][0] = self._row_bytes(self.net.stages[i])
        return Layout._place_rows(self, row_bytes)

    def _words_at(self, stage, training):
        back = self._backs.get(self.net.stages.index(stage)) if training else None
        if back is None:
            return Layout._words_at(self, stage, training)
        _, _, of_columns, of_update = back
        words = self._words_of(stage.kind, 2, of_update) if self._has_update(stage) else 0
        if training == 1:
            if of_columns is None:
                of_columns = array("i", stage.d)
                of_columns[F.RULE] = 0
            words = max(words, self._words_of(stage.kind, 1, of_columns))
        return words

    def _words_of(self, kind, training, d):
        if training == 0 or d[F.PLAN_BACKWARD if training == 1 else F.PLAN_UPDATE]:
            return Layout._words_of(self, kind, training, d)
        # a portable kernel: what the fast one would take is not wanted
        self.needs_portable = True
        return max(Layout._words_of(self, kind, 0, d),
                   self.net.portable().scratch_words(kind, training, d))

    # ---- getting it --------------------------------------------------------------------------

    def _forward_call(self, i, stage, scratch):
        if i not in self._streams:
            return Layout._forward_call(self, i, stage, scratch)
        part = self.views[self._streams[i]]
        if self._is_streamed(stage):
            self._use_rows(stage, part)
            return Layout._forward_call(self, i, stage, scratch)
        taken = raw_operands(stage, part, len(part) // stage.d[F.N_ROW])
        return verified, (stage.flash.take, taken) + Layout._forward_call(self, i, stage, scratch)

    def _use_rows(self, stage, part):
        """Have a stage compute with rows from the flash, as many as `part` holds."""
        layer = self._of.get(id(stage))
        scores, select = (layer.scores, layer.select) if layer else (EMPTY, EMPTY)
        stage.use(part, stage.flash.operands(part, scores, select, stage.d))

    def _backward_call(self, i, stage, scratch, g, dx, dz):
        if i not in self._backs or not self._is_streamed(stage):
            return Layout._backward_call(self, i, stage, scratch, g, dx, dz)
        piece, cursors, of_columns, _ = self._backs[i]
        part = self.views[piece]
        if of_columns is None:
            self._use_rows(stage, part[:stage.d[F.ROWS] * stage.d[F.N_ROW]])
            return Layout._backward_call(self, i, stage, scratch, g, dx, dz)
        n = of_columns[F.N_OUT] * of_columns[F.N_ROW]
        return backward_call(stage, kernel_of(self.net, stage, BACKWARD, of_columns),
                             KINDS[stage.kind][1 + BACKWARD], of_columns, part[:n],
                             self._of.get(id(stage)), self.views[cursors], g, dx, scratch)

    def _update_call(self, i, stage, scratch, g, layer):
        if not stage.flash:
            return Layout._update_call(self, i, stage, scratch, g, layer)
        piece, cursors, _, of_update = self._backs[i]
        part = self.views[piece][:of_update[F.N_OUT] * of_update[F.N_ROW]]
        kernel = kernel_of(self.net, stage, UPDATE, of_update)
        form = KINDS[stage.kind][1 + UPDATE]
        if self._by_columns(stage):
            return update_columns_call(stage, kernel, form, of_update, part, layer,
                                       self.views[cursors], g, scratch)
        return update_call(stage, kernel, form, of_update, part, layer,
                           EMPTY if self._is_streamed(stage) else stage.weff, g, scratch)


def _channels(n, taps, most):
    """Channels of n to take at once: a divisor whose weights in a row are whole words and, if that
    can be, at most `most` and a multiple of the 8 that fast kernels take."""
    best = n
    for channels in range(n, 0, -1):
        if n % channels == 0 and not (channels * taps) & 3 and (
                best * taps > most and not (channels & 7 and best & 7 == 0)):
            best = channels
    return best
