"""The memory of a network and of what is learned on it: what there is, how long it lives.

Two blocks beside the backbone's weights: `learned` (scores, selection, effective weights) and
`work` (activations, winners of pooling, gradients, scratch), of which the pieces share places
where they do not live at the same time. Network, Trainer and adapter get theirs from here, and
`priot plan` asks here.
"""

from array import array

from . import fields as F
from . import methods as M
from .blocks import ALWAYS, Block
from .calls import BACKWARD, EMPTY, FORWARD, UPDATE, bias_call, stage_call
from .kinds import ADD, AVG_POOL, CONV2D, GLOBAL_POOL, LINEAR, MAX_POOL
from .layer_state import LayerState
from .memory import RESERVE

_FEW_EDGES = 2048  # of a conv2d layer: so few effective weights are kept
_ROW_BYTES = 1024  # of effective weights that layout="small" computes at a time
_MOST_ROW_BYTES = 65536  # where there is room for them
_HISTOGRAM_WORDS = 512  # that top-k counts scores in, a half for each core


class Layout:
    """Sizes and places for a network whose `layers` (LayerState) have learned or will learn.

    first: number of the first trained stage, None where nothing is trained. small: effective
    weights are computed before each use, of linear layers a few rows at a time, of large conv2d
    layers all, in a buffer that all layers share; and kernels take the least scratch.
    dynamic: every call measures its shift.

    Moments: 0 the input comes, i + 1 stage i computes, then the loss, then backward and update of
    the stages from the last to the first.
    """

    parts = 0  # in which weights come from the flash

    def __init__(self, net, layers=(), first=None, small=False, dynamic=False):
        self.net = net
        self.layers = layers
        self.first = first
        self.name = "small" if small else "kept"
        self.dynamic = dynamic
        self.needs_portable = bool(layers) and layers[0].rule == M.ONLY_BIAS
        self.needs_layers = self.needs_backward = False
        self.least_row_bytes = _ROW_BYTES
        self.learned = Block()
        self.work = Block()
        self._of = {id(layer.stage): layer for layer in layers}
        self._needs = self._stages_with_gradient()
        self._set_additions()
        for stage in net.stages:
            stage.d[F.LOW_MEMORY] = 1 if self._is_least() else 0
            stage.plan = self._plan(stage.kind, stage.d)
            self._plan_gradients(stage)
        self._want_learned()
        self._want_rows()
        self._want_activations()
        self._want_gradients()
        self._want_scratch()
        self.learned.place()
        self._place_work()

    @classmethod
    def smaller(cls, net, layers, first, dynamic, room):
        """The layout "small", of such as there are the fastest of at most `room` bytes."""
        return cls(net, layers, first, True, dynamic)

    @property
    def changes_weights(self):
        """Whether training changes the backbone's weights in place."""
        return self.first is not None and self.layers[0].rule >= M.WEIGHTS

    @property
    def size(self):
        """Bytes of both blocks."""
        return self.learned.size + self.work.size

    def bytes_beside(self, net):
        """How many bytes more they are than the loaded network takes; with less scratch, none."""
        return max(0, self.size - net.idle_bytes)

    # ---- what there is -----------------------------------------------------------------------

    def _plan(self, kind, d):
        """Choose a layer's kernels; returns the number of what it found. priot_layers is asked,
        which loads it, only where it may take the layer."""
        plan = self.net.kernels.plan(kind, d)
        if (not d[F.PLAN_FORWARD] and kind != MAX_POOL and not d[F.ARGMAX_BITS]
                and (d[F.BIAS] if kind == LINEAR else d[F.GROUPS] in (1, d[F.N_OUT]))):
            layers = self.net.layers()
            if layers:
                plan = layers.plan(kind, d) or plan
                self.needs_layers = True
        return plan

    def _plan_gradients(self, stage):
        """Choose kernels of a backward pass where no others were found. priot_backward is asked,
        which loads it, only where it may take the stage."""
        d = stage.d
        if (not self.dynamic and not stage.flash and stage.kind in (CONV2D, GLOBAL_POOL, ADD)
                and not d[F.ARGMAX_BITS] and d[F.GROUPS] in (1, d[F.N_OUT]) and (
                (self._passes_on(stage) and not d[F.PLAN_BACKWARD])
                or (self._has_update(stage) and not d[F.PLAN_UPDATE]))):
            found = self.net.gradients()
            if found:
                found.plan(stage.kind, d)
                self.needs_backward |= max(d[F.PLAN_BACKWARD], d[F.PLAN_UPDATE]) >= F.BACKWARD_PLAN

    def _want_learned(self):
        want = self.learned.want
        self._places = []  # of each layer: scores, selection, effective weights
        for layer in self.layers:
            weff = None
            if self._keeps(layer) and (
                    layer.rule < M.WEIGHTS or (layer.rule == M.WEIGHTS and self.first is None)):
                weff = want(layer.n_edges)
            learned = layer.score_bytes()
            if layer.rule == M.ONLY_BIAS and self.first is None:
                learned = 4 * layer.n_params  # biases in place of those of the backbone
            self._places.append((want(learned), want(layer.select_bytes()), weff))

    def _want_rows(self):
        """Rows of effective weights, of the first to the last layer that computes them anew."""
        numbers = [self.net.stages.index(a.stage) for a in self.layers if self.by_rows(a)]
        first, last = (min(numbers), max(numbers)) if numbers else (0, 0)
        last = last + 1 if self.first is None else self._backward(first)
        self._rows = self.work.want(0, first + 1, last)

    def _place_work(self):
        """As many rows at a time as lie between the other pieces and take no more."""
        n_bytes = self._place_rows(self.least_row_bytes)
        row_bytes = _MOST_ROW_BYTES
        while self._place_rows(row_bytes) > n_bytes:
            row_bytes >>= 1

    def _place_rows(self, row_bytes):
        self.row_bytes = row_bytes
        rows = [self._row_bytes(layer.stage) for layer in self.layers if self.by_rows(layer)]
        self.work.pieces[self._rows][0] = max(rows + [0])
        return self.work.place()

    def _row_bytes(self, stage):
        return stage.row_step(self.row_bytes) * stage.d[F.N_ROW]

    def _is_least(self):
        """Whether kernels take the least scratch."""
        return self.name == "small"

    def _keeps(self, layer):
        """Whether all effective weights of a layer are there, if it has any."""
        return not self.by_rows(layer)

    def by_rows(self, layer):
        """Whether a layer's effective weights are computed before each use."""
        return (self.name == "small" and layer.rule < M.WEIGHTS and not layer.is_mask
                and (layer.stage.kind != CONV2D or layer.n_edges > _FEW_EDGES))

    def _has_update(self, stage):
        """Whether an update of its edges asks for dW of a stage."""
        layer = self._of.get(id(stage))
        return layer is not None and layer.rule != M.ONLY_BIAS

    def _passes_on(self, stage):
        """Whether the gradient of one of its inputs is wanted."""
        return self._wants(stage.input) or self._wants(stage.second)

    def _stages_with_gradient(self):
        """Of every stage whether it, or one that it depends on, is trained."""
        needs = []
        for stage in self.net.stages:
            needs.append(self.first is not None and (
                id(stage) in self._of or (stage.input >= 0 and needs[stage.input])
                or (stage.second >= 0 and needs[stage.second])))
        return needs

    def _set_additions(self):
        """Where several stages read a tensor, its gradient is a sum: say how each adds to it."""
        stages = self.net.stages
        exponents = [None] * len(stages)  # of gradients: a value v stands for v * 2^-exponent
        exponents[-1] = 0
        for i in range(len(stages) - 1, -1, -1):
            stage = stages[i]
            for number, add in ((stage.input, F.ADD_DX), (stage.second, F.ADD_DZ)):
                stage.d[add] = 0
                if self._needs[i] and self._wants(number):
                    exponent = exponents[i] + gradient_gain(stage)
                    stage.d[add] = addition(exponents[number], exponent)
                    exponents[number] = exponent - stage.d[F.BACKWARD_SHIFT]

    def _backward(self, i):
        """The moment of backward and update of stage i."""
        return 2 * len(self.net.stages) + 1 - i

    def _wants(self, number):
        """Whether the gradient of a stage's output is wanted; not of the image, nor of none."""
        return number >= 0 and self._needs[number]

    def _want_activations(self):
        """The image with its label, then output and winners of each stage."""
        net = self.net
        n = len(net.stages)
        last = [0] * n + [ALWAYS]  # use of the image, of each output; logits stay
        for i, stage in enumerate(net.stages):
            # backward, inputs are asked for dW, and where a ReLU below has cut
            for number, mask in ((stage.input, F.MASK_DX), (stage.second, F.MASK_DZ)):
                if number >= -1:
                    again = self._needs[i] and (self._has_update(stage) or stage.d[mask])
                    use = self._backward(i) if again else i + 1
                    last[number + 1] = max(last[number + 1], use)
        channels, height, width = net.shape
        if net.loss_kind == F.RECONSTRUCTION:
            last[0] = max(last[0], n + 1)  # the loss compares the outputs with it
        elif net.loss_kind:
            last[0] = ALWAYS  # the target lies behind it
        self._image = self.work.want(channels * height * width + net.target_bytes, 0, last[0])
        self._outputs = []
        for i, stage in enumerate(net.stages):
            again = self._needs[i] and (self._has_update(stage) or self._passes_on(stage))
            until = self._backward(i) if again else i + 1
            self._outputs.append((self.work.want(stage.size_out(), i + 1, last[i + 1]),
                                  self.work.want(stage.argmax_bytes(), i + 1, until)))

    def _want_gradients(self):
        """Gradient of the output of each stage from the first trained one on."""
        stages = self.net.stages
        n = len(stages)
        self._gradients = [None] * n
        if self.first is None:
            return
        born = [n + 1] * n  # the logits' with the loss
        for i, stage in enumerate(stages):
            for number in (stage.input, stage.second):
                if number >= 0:
                    born[number] = self._backward(i)  # the last consumer runs first
        for i in range(n):
            if self._needs[i]:
                self._gradients[i] = self.work.want(stages[i].size_out(), born[i],
                                                    self._backward(i))

    def _want_scratch(self):
        """int32 scratch of each moment."""
        net = self.net
        n = len(net.stages)
        self._scratch = [self._words(stage, 0, i + 1) for i, stage in enumerate(net.stages)]
        self._loss_scratch = self.work.want(0 if net.loss_kind else 4 * net.n_classes,
                                            n + 1, n + 1)
        self._back_scratch = [None] * n
        for i, stage in enumerate(net.stages):
            if self._needs[i] and (self._passes_on(stage) or self._has_update(stage)):
                self._back_scratch[i] = self._words(stage, 1 if self._passes_on(stage) else 2,
                                                    self._backward(i))

    def _words(self, stage, training, moment):
        """What the kernels of a stage need at a moment, of the backend's own and portable ones."""
        words = self._words_at(stage, training)
        layer = self._of.get(id(stage))
        if training and layer is not None and layer.keep:
            words = max(words, _HISTOGRAM_WORDS)
        return self.work.want(4 * words, moment, moment)

    def _words_at(self, stage, training):
        return self._words_of(stage.kind, training, stage.d)

    def _words_of(self, kind, training, d):
        net = self.net
        words = net.kernels.scratch_words(kind, training, d)
        for plan in (d[F.PLAN_FORWARD], d[F.PLAN_BACKWARD], d[F.PLAN_UPDATE]):
            if plan >= F.LAYERS_PLAN:
                words = max(words, net.kernels_of(plan).scratch_words(kind, training, d))
        if (self.dynamic or not d[F.PLAN_FORWARD] or (training == 1 and not d[F.PLAN_BACKWARD])
                or (training and d[F.RULE] and not d[F.PLAN_UPDATE])):
            self.needs_portable = True
            words = max(words, net.portable().scratch_words(kind, training, d))
        return words

    # ---- getting it --------------------------------------------------------------------------

    def take(self, where):
        """Allocate both blocks and give every stage and layer its buffers. MemoryError."""
        learned = self.learned.take(where)
        self.views = views = self.work.take(where)
        rows = views[self._rows]
        for layer, (scores, select, weff) in zip(self.layers, self._places):
            layer.scores, layer.select = learned[scores], learned[select]
            stage = layer.stage
            if layer.rule == M.ONLY_BIAS and len(layer.scores):
                stage.bias = layer.scores
            if self.by_rows(layer):
                part = rows[:self._row_bytes(stage)]
                stage.use(part, layer.row_operands(part))
            else:
                stage.use(stage.w if weff is None else learned[weff])
            scratch = self._back_scratch[self.net.stages.index(stage)]
            layer.bind(None if scratch is None else views[scratch])
        stages = self.net.stages
        record = views[self._image]
        image = record[:len(record) - self.net.target_bytes]
        for stage, (output, argmax) in zip(stages, self._outputs):
            stage.x = image if stage.input < 0 else stages[stage.input].y
            if stage.second >= -1:
                stage.z = image if stage.second < 0 else stages[stage.second].y
            stage.y, stage.argmax = views[output], views[argmax]
        return record

    def forward_calls(self):
        """The calls of a forward pass."""
        return [self._forward_call(i, stage, self.views[scratch])
                for i, (stage, scratch) in enumerate(zip(self.net.stages, self._scratch))]

    def _forward_call(self, i, stage, scratch):
        return stage_call(self.net, stage, FORWARD, scratch, self.dynamic)

    def loss_operands(self):
        """Of cross_entropy: the gradient of the logits, the logits, scratch, descriptor.

        Of squared_error: the gradient and the outputs, the target, what it finds, descriptor.
        """
        if self.net.loss_kind:
            return (self.views[self._gradients[-1]], self.net.logits, self.net.target,
                    array("i", [0, 0]), self.net.loss)
        return (self.views[self._gradients[-1]], self.net.logits, self.views[self._loss_scratch],
                self.net.loss)

    def backward_calls(self):
        """The calls of a backward pass, last stage first; and what each is: (stage, name)."""
        calls, names = [], []
        stages = self.net.stages
        for i in range(len(stages) - 1, -1, -1):
            stage = stages[i]
            if not self._needs[i]:
                continue
            g, scratch = self.views[self._gradients[i]], self._back_scratch[i]
            scratch = EMPTY if scratch is None else self.views[scratch]
            inputs = (stage.input, stage.second)
            if self._passes_on(stage):
                dx = [self.views[self._gradients[number]] if self._wants(number) else EMPTY
                      for number in inputs]
                calls.append(self._backward_call(i, stage, scratch, g, *dx))
                names.append((i, "backward"))
            layer = self._of.get(id(stage))
            if layer is not None:
                calls.append(self._update_call(i, stage, scratch, g, layer)
                             if self._has_update(stage) else bias_call(self.net, stage, g))
                names.append((i, "update"))
                if layer.keep:
                    calls.append((LayerState.follow_threshold, layer))
                    names.append((i, "threshold"))
        return calls, names

    def _backward_call(self, i, stage, scratch, g, dx, dz):
        return stage_call(self.net, stage, BACKWARD, scratch, self.dynamic, g, dx, dz)

    def _update_call(self, i, stage, scratch, g, layer):
        return stage_call(self.net, stage, UPDATE, scratch, self.dynamic, g, layer=layer)


def gradient_gain(stage):
    """What a stage adds to the exponent of a gradient, before its backward shift."""
    if stage.kind == AVG_POOL:
        return _log2(stage.d[F.POOL_H] * stage.d[F.POOL_W])
    return stage.weight_exponent  # of a global pool: what lies in the weights behind it


def addition(earlier, exponent):
    """ADD_DX for a gradient of an exponent where another stage has left one of `earlier`, or
    None: both are added at the new exponent."""
    if earlier is None:
        return 0
    return 64 + max(-15, min(12, exponent - earlier))


def _log2(n):
    """The power of two at or below n."""
    k = 0
    while n >> (k + 1):
        k += 1
    return k


def choose(name, net, layers, first, dynamic, free):
    """The Layout "kept" or "small"; "auto" is kept where RESERVE bytes stay free, or small takes
    no less.

    free: bytes of heap beside the network's weights.
    """
    layout = net.layout_class()
    found = layout(net, layers, first, name == "small", dynamic)
    kept = found.size
    if name == "auto" and free - kept < RESERVE:
        found = None  # its plan takes memory
        found = layout.smaller(net, layers, first, dynamic, free - RESERVE)
        if found.size >= kept:
            found = layout(net, layers, first, False, dynamic)
    return found
