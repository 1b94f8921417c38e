"""One whole training step of every method in numpy: the truth for byte-for-byte traces.

Scores follow the straight-through rule of PRIOT (arXiv 2503.16860) and edge-popup (Ramanujan et
al. 2020), integer weights follow NITI (arXiv 2009.13108); static shifts come from calibration
(host_tools/quantize.py).
"""

from array import array
from dataclasses import dataclass, field

import numpy as np

from host_tools import fields as f
from host_tools import oracle
from host_tools.formats import Model
from host_tools.formats.container import to_offset
from host_tools.stages import Stage, loss_shift

GMIN = 2  # a sample whose loss gradient is smaller has no backward pass
HALVING_EPOCHS = 8  # the step halves after so many epochs
THRESHOLD = {"priot": 64, "priot-s": 128}  # offset bytes of the scores -64 and 0


@dataclass(frozen=True)
class Method:
    """What a method trains: rule, rounding of the update, step u, how its scores start."""

    rule: int
    rounding: int
    step: int
    init: str = "zeros"
    dynamic: bool = False
    last_layers: int = 0


METHODS = {
    "priot": Method(f.PRUNE, f.RHU, 9, "normal"),
    "priot-s": Method(f.PRUNE, f.RHU, 8, "normal"),
    "gain": Method(f.GAIN, f.PSR, 7),
    "weights": Method(f.WEIGHTS, f.PSR, 4),
    "niti": Method(f.WEIGHTS, f.PSR, 2, dynamic=True),
    "head": Method(f.WEIGHTS, f.PSR, 3, last_layers=1),
}


@dataclass(frozen=True)
class Selection:
    """Which edges of a layer have a score: those with abs(w) >= tau, or those of a bitmap.

    `bitmap` is bool [edges], storage order. With neither, every edge has one.
    """

    tau: int = 0
    bitmap: np.ndarray | None = None

    def edges(self, weights: np.ndarray) -> np.ndarray:
        """bool [edges], from the layer's int8 weights."""
        if self.bitmap is not None:
            return self.bitmap
        return np.abs(weights.ravel().astype(np.int16)) >= self.tau

    def pack(self, weights: np.ndarray, d: np.ndarray) -> bytearray:
        """The buffer `select` of device/DESIGN.md; sets SELECTION and TAU of d."""
        d[f.SELECTION] = f.BITMAP if self.bitmap is not None else f.LARGEST if self.tau else f.ALL
        d[f.TAU] = self.tau
        if d[f.SELECTION] == f.ALL:
            return bytearray()
        edges = self.edges(weights)
        per_row = edges.reshape(len(weights), -1).sum(axis=1)
        starts = (np.cumsum(per_row) - per_row).astype("<u4").tobytes()
        bits = np.packbits(edges, bitorder="little").tobytes() if self.bitmap is not None else b""
        return bytearray(starts + bits)


@dataclass
class StageState:
    """Buffers of one stage, as a device would hold them.

    x, y, g (gradient of y), dx: int8 bytes. w, weff, scores: offset bytes; `weff` is `w` itself
    where the layer's weights are trained or nothing is. `trained` is False for frozen stages.
    """

    stage: Stage
    y: bytearray
    argmax: bytearray
    g: bytearray
    x: bytearray = field(default_factory=bytearray)
    w: bytearray = field(default_factory=bytearray)
    weff: bytearray = field(default_factory=bytearray)
    scores: bytearray = field(default_factory=bytearray)
    select: bytearray = field(default_factory=bytearray)
    update_bits: int = 0
    trained: bool = False

    @property
    def d(self) -> np.ndarray:
        """The stage's descriptor."""
        return self.stage.d


class Oracle:
    """A model in training. `step` trains on one sample; the buffers of `states` show the trace.

    method: a key of METHODS. keep_percent: 0 for the fixed threshold (an offset byte), else the
    top-k rule of edge-popup, k = max(1, n * keep_percent // 100) per layer. step: u of gs = gb - u
    (None: the method's own; `priot` takes one less in conv2d layers). last_layers: train only so
    many conv2d and linear layers, 0 for all. selections: by index of the conv2d or linear layer.
    """

    def __init__(self, model: Model, method: str = "priot", *, seed: int = 1,
                 init: str | None = None, threshold: int | None = None, keep_percent: int = 0,
                 step: int | None = None, rounding: int | None = None, last_layers: int = 0,
                 selections: dict[int, Selection] | None = None) -> None:
        self.model = model
        self.method_name = method
        self.method = chosen = METHODS[method]
        if keep_percent and chosen.rule != f.PRUNE:
            raise ValueError(f"keep: {method} prunes nothing")
        self.keep_percent = keep_percent
        self.u = chosen.step if step is None else step
        self.state = array("I", [seed])
        self.epoch = self.steps = self.skipped = 0
        self.scratch = array("i", [0] * 131072)
        self.states = [self._new_state(stage) for stage in model.stages()]
        below = bytearray(int(np.prod(model.shape)))
        for s in self.states:
            s.x, below = below, s.y
        weighted = [s for s in self.states if s.w]
        count = last_layers or chosen.last_layers or len(weighted)
        if not 1 <= count <= len(weighted):
            raise ValueError(f"last layers: found {count}, expected 1..{len(weighted)}")
        for s in weighted[-count:]:
            s.trained = True
            s.d[f.RULE] = chosen.rule
            s.d[f.ROUNDING] = chosen.rounding if rounding is None else rounding
            s.d[f.THRESHOLD] = THRESHOLD.get(method, 0) if threshold is None else threshold
            if chosen.rule != f.WEIGHTS:
                selection = (selections or {}).get(s.stage.weight_index, Selection())
                self._start_scores(s, selection, init or chosen.init)
        self.first = next(i for i, s in enumerate(self.states) if s.trained)
        self._refresh()

    def _new_state(self, stage: Stage) -> StageState:
        size = int(np.prod(stage.shape_out))
        state = StageState(stage, bytearray(size), bytearray(stage.argmax_bytes), bytearray(size))
        if stage.weight_index >= 0:
            layer = self.model.layers[stage.layer]
            state.w = state.weff = bytearray(to_offset(layer.weights).tobytes())
            weights_rule = self.method.rule == f.WEIGHTS
            state.update_bits = (layer.update_bits_weights if weights_rule
                                 else layer.update_bits_scores)
        return state

    def _start_scores(self, s: StageState, selection: Selection, init: str) -> None:
        weights = self.model.layers[s.stage.layer].weights
        s.select = selection.pack(weights, s.d)
        s.scores = bytearray(b"\x80" * int(selection.edges(weights).sum()))
        s.weff = bytearray(len(s.w))
        if init == "normal":
            oracle.init_scores((s.scores, self.state))

    def _refresh(self) -> None:
        """Thresholds of the top-k rule, and all effective weights."""
        for s in self.states:
            if not s.scores:
                continue
            if self.keep_percent:
                s.d[f.KEEP_COUNT] = max(1, len(s.scores) * self.keep_percent // 100)
                s.d[f.THRESHOLD] = oracle.kth_largest((s.scores, self.scratch, s.d))
            oracle.effective_weights((s.weff, s.w, s.scores, s.select, s.d))

    def forward(self, image: np.ndarray) -> bytearray:
        """Logits int8 of an image uint8 0..127 of the model's shape."""
        self.states[0].x[:] = np.ascontiguousarray(image).tobytes()
        for s in self.states:
            d = s.d
            if s.stage.kind == f.CONV2D:
                self._run(oracle.conv2d_forward, f.FORWARD_SHIFT,
                          (s.y, s.argmax, s.x, s.weff, self.scratch, d))
            elif s.stage.kind == f.LINEAR:
                self._run(oracle.linear_forward, f.FORWARD_SHIFT,
                          (s.y, s.x, s.weff, self.scratch, d))
            elif s.stage.kind == f.MAX_POOL2D:
                oracle.max_pool_forward((s.y, s.argmax, s.x, d))
            else:
                oracle.avg_pool_forward((s.y, s.x, d))
        return self.states[-1].y

    def _run(self, kernel, shift_field: int, operands: tuple) -> None:
        """Run a kernel; a dynamic method first sets its shift from the largest accumulator."""
        if self.method.dynamic:
            d = operands[-1]
            d[shift_field] = max(0, self._measure(kernel, operands).bit_length() - 7)
        kernel(operands)

    @staticmethod
    def _measure(kernel, operands: tuple) -> int:
        d = operands[-1]
        d[f.MEASURE] = 1
        largest = kernel(operands)
        d[f.MEASURE] = 0
        return largest

    def predict(self, image: np.ndarray) -> int:
        """The class with the largest logit, the first of equals."""
        return int(np.frombuffer(self.forward(image), np.int8).argmax())

    def step(self, image: np.ndarray, label: int) -> int:
        """Train on one sample; returns max abs of the loss gradient (below GMIN: skipped)."""
        self.forward(image)
        last = self.states[-1]
        d = last.d.copy()
        if self.method.dynamic:
            d[f.LOSS_SHIFT] = loss_shift(
                int(s.d[f.FORWARD_SHIFT]) - self.model.layers[s.stage.layer].weight_exponent
                for s in self.states)
        largest = oracle.cross_entropy((last.g, last.y, self.scratch, d), label)
        self.steps += 1
        if largest < GMIN:
            self.skipped += 1
            return largest
        for i in range(len(self.states) - 1, self.first - 1, -1):
            if i > self.first:
                self._backward_input(self.states[i], self.states[i - 1].g)
            if self.states[i].trained:
                self._update(self.states[i])
        if self.keep_percent:
            self._refresh()
        return largest

    def _backward_input(self, s: StageState, dx: bytearray) -> None:
        if s.stage.kind == f.CONV2D:
            self._run(oracle.conv2d_backward_input, f.BACKWARD_SHIFT,
                      (dx, s.g, s.argmax, s.x, s.weff, self.scratch, s.d))
        elif s.stage.kind == f.LINEAR:
            self._run(oracle.linear_backward_input, f.BACKWARD_SHIFT,
                      (dx, s.g, s.x, s.weff, self.scratch, s.d))
        elif s.stage.kind == f.MAX_POOL2D:
            oracle.max_pool_backward((dx, s.g, s.argmax, s.x, s.d))
        else:
            oracle.avg_pool_backward((dx, s.g, s.x, s.d))

    def _update(self, s: StageState) -> None:
        if s.stage.kind == f.CONV2D:
            kernel = oracle.conv2d_update
            operands: tuple = (
                s.scores, s.weff, s.g, s.argmax, s.x, s.w, s.select, self.scratch, s.d)
        else:
            kernel = oracle.linear_update
            operands = (s.scores, s.weff, s.g, s.x, s.w, s.select, self.scratch, s.d)
        bits = s.update_bits
        if self.method.dynamic:
            bits = self._measure(kernel, operands).bit_length()
        s.d[f.UPDATE_SHIFT] = self.update_shift(s, bits)
        kernel(operands)

    def update_shift(self, s: StageState, bits: int) -> int:
        """gs = gb - u, one more after every 8 epochs, 0..30."""
        u = self.u - (self.method_name == "priot" and s.stage.kind == f.CONV2D)
        return max(0, min(30, bits - u + self.epoch // HALVING_EPOCHS))

    def fit(self, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
        """Train for some epochs, each in a new order, shuffled from 0 .. n - 1."""
        for _ in range(epochs):
            order = array("H", range(len(images)))
            oracle.shuffle((order, self.state))
            for i in order:
                self.step(images[i], int(labels[i]))
            self.epoch += 1
