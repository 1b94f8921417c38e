"""One whole training step of every method in numpy: the truth for byte-for-byte traces.

Scores follow the straight-through rule of PRIOT (arXiv 2503.16860) and edge-popup (Ramanujan et
al. 2020), integer weights follow NITI (arXiv 2009.13108); static shifts come from calibration
(priot/backbone/quantize.py).
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from priot.formats import Model
from priot.formats.container import to_offset
from priot.methods import METHODS
from priot.network import fields as f
from priot.network.gradients import Exponents, needs_gradient
from priot.network.link import loss_shift, target_shift
from priot.network.stage import IMAGE, NO_INPUT, Stage
from priot.oracle import kernels as oracle
from priot.oracle.selection import select_edges

GMIN = 2  # a sample whose loss gradient is smaller has no backward pass
HALVING_EPOCHS = 8  # the step halves after so many epochs


@dataclass
class StageState:
    """Buffers of one stage, as a device would hold them.

    x, z (the other input of a sum), y, g (gradient of y): int8 bytes. w, weff, scores: offset
    bytes; `weff` is `w` itself where the layer's weights are trained or nothing is. `trained` is
    False for frozen stages. `d`: the stage's descriptor.
    """

    stage: Stage
    d: np.ndarray = field(repr=False)
    y: bytearray
    argmax: bytearray
    g: bytearray
    x: bytearray = field(default_factory=bytearray)
    z: bytearray = field(default_factory=bytearray)
    bias: bytearray = field(default_factory=bytearray)
    w: bytearray = field(default_factory=bytearray)
    weff: bytearray = field(default_factory=bytearray)
    scores: bytearray = field(default_factory=bytearray)
    select: bytearray = field(default_factory=bytearray)
    update_bits: int = 0
    trained: bool = False


class Oracle:
    """A model in training. `step` trains on one sample; the buffers of `states` show the trace.

    method: its name. threshold: an offset byte, 0..255. keep: percent of a layer's scored
    edges that edge-popup's top-k rule keeps, k = max(1, n * keep // 100), or 0 for the threshold.
    step: u of gs = gb - u in linear layers (`priot` takes one less in conv2d layers). fraction,
    select: as in priot/oracle/selection.py. last: train only so many conv2d and linear layers.
    None takes the method's own value. Raises ValueError.
    """

    def __init__(self, model: Model, method: str = "priot", *, seed: int = 1,
                 threshold: int | None = None, keep: int = 0, step: int | None = None,
                 rounding: int | None = None, last: int | None = None,
                 fraction: int | None = None, select: str = "largest") -> None:
        self.model = model
        self.method = chosen = METHODS[method]
        if keep and chosen.rule != f.PRUNE:
            raise ValueError(f"keep: {method} prunes nothing")
        if chosen.dynamic and any(s.inputs != (i - 1,) for i, s in enumerate(model.stages)):
            raise ValueError(f"method: {method} trains networks without branches only")
        self.keep = keep
        self.u = chosen.step if step is None else step
        self.conv_u = self.u + chosen.conv_step - chosen.step
        self.state = array("I", [seed])
        self.epoch = self.steps = self.skipped = 0
        self.scratch = array("i", [0] * 131072)
        self.states = [self._new_state(stage) for stage in model.stages]
        self.loss = np.zeros(f.N_FIELDS, np.int32)  # the descriptor of the loss
        self.loss[f.N_CLASSES] = model.classes
        self.loss[f.LOSS_SHIFT] = self._loss_shift(model.exponents[-1])
        self.error = 0  # of the last step, by squared error
        self.image = bytearray(int(np.prod(model.shape)))
        for s in self.states:
            s.x = self._tensor(s.stage.a)
            if s.stage.b != NO_INPUT:
                s.z = self._tensor(s.stage.b)
        usual, self.normal = chosen.start(model.has_biases)
        trained = self._last_layers(last or chosen.last)
        for s in trained:
            s.d[f.RULE] = f.FROZEN if chosen.rule == f.ONLY_BIAS else chosen.rule
            s.d[f.ROUNDING] = usual if rounding is None else rounding
            s.d[f.THRESHOLD] = chosen.threshold if threshold is None else threshold
        self._select(trained, fraction or chosen.fraction, select)
        self.needs = needs_gradient(model.stages, {
            i for i, s in enumerate(self.states) if s.trained})
        self._refresh()

    def _loss_shift(self, exponent: int) -> int:
        """LOSS_SHIFT where the outputs have an exponent."""
        model = self.model
        if model.loss == f.CROSS_ENTROPY:
            return loss_shift(exponent)
        return target_shift(exponent, model.target_exponent if model.n_targets
                            else model.input_exponent)

    def _tensor(self, number: int) -> bytearray:
        """The output of a stage, or the image."""
        return self.image if number == IMAGE else self.states[number].y

    def _new_state(self, stage: Stage) -> StageState:
        size = int(np.prod(stage.shape_out))
        state = StageState(stage, stage.descriptor(), bytearray(size),
                           bytearray(stage.argmax_bytes), bytearray(size))
        if stage.bias is not None:
            state.bias = bytearray(stage.bias.astype("<i4").tobytes())
        if stage.has_weights:
            state.w = state.weff = bytearray(to_offset(stage.rows).tobytes())
            state.update_bits = {
                f.WEIGHTS: stage.update_bits_weights,
                f.WIDE: stage.update_bits_weights - 8,
                f.ONLY_BIAS: stage.accumulator_bits_bias,
            }.get(self.method.rule, stage.update_bits_scores)
        return state

    def _last_layers(self, count: int) -> list[StageState]:
        """Mark the last `count` conv2d and linear stages, or all for 0, as trained; but depthwise
        ones, where edges are pruned, and where biases are trained those without."""
        weighted = [s for s in self.states if s.w]
        if count > len(weighted):
            raise ValueError(f"last: {count}, the network has {len(weighted)} layers with weights")
        trained = [s for s in weighted[-count:] if self._is_trained(s.stage)]
        if not trained:
            raise ValueError(f"method: {self.method.name} has nothing to train")
        for s in trained:
            s.trained = True
        return trained

    def _is_trained(self, stage: Stage) -> bool:
        if self.method.rule == f.ONLY_BIAS:
            return stage.update_bits_bias > 0
        return self.method.rule != f.PRUNE or not stage.is_depthwise

    def _select(self, trained: list[StageState], fraction: int | None, select: str) -> None:
        """Give the trained stages their selection, and then their scores."""
        rule = self.method.rule
        if rule == f.ONLY_BIAS:
            return
        weights = [s.stage.rows for s in trained]
        selections = select_edges(weights, fraction, select, rule >= f.WEIGHTS, self.state)
        for s, w, selection in zip(trained, weights, selections, strict=True):
            s.select = selection.pack(w, s.d)
            if rule != f.WEIGHTS:
                s.scores = bytearray(b"\x80" * int(selection.edges(w).sum()))
            if rule < f.WEIGHTS:
                s.weff = bytearray(len(s.w))
        if self.normal:
            for s in trained:
                oracle.init_scores((s.scores, self.state))

    def _refresh(self) -> None:
        """Thresholds of the top-k rule, and all effective weights."""
        for s in self.states:
            if not s.scores or self.method.rule >= f.WEIGHTS:
                continue
            if self.keep:
                k = max(1, len(s.scores) * self.keep // 100)
                s.d[f.THRESHOLD] = oracle.kth_largest((s.scores, self.scratch), k)
            oracle.effective_weights((s.weff, s.w, s.scores, s.select, s.d))

    def forward(self, image: np.ndarray) -> bytearray:
        """Logits int8 of an image uint8 0..127 of the model's shape."""
        self.image[:] = np.ascontiguousarray(image).tobytes()
        for s in self.states:
            self._run(s, *self._call(s, "forward"), f.FORWARD_SHIFT)
        return self.states[-1].y

    def _call(self, s: StageState, verb: str, dx: bytearray | bytes = b"",
              dz: bytearray | bytes = b"") -> tuple[Callable, tuple]:
        """A kernel and its operands, by the form that device/priot/kinds.py gives it."""
        name, *forms = f.KINDS[s.stage.kind]
        form = forms[("forward", "backward", "update").index(verb)]
        places = {"Y": s.y, "X": dx, "Z": dz, "y": s.g, "x": s.x, "z": s.z, "A": s.argmax,
                  "a": s.argmax, "c": s.bias, "r": s.weff, "w": s.weff, "W": s.w, "S": s.scores,
                  "E": s.weff, "b": s.select, "d": s.d}
        operands = tuple(self.scratch if c.isdigit() else places[c] for c in form)
        return getattr(oracle, f"{name}_{verb}"), operands

    def _run(self, s: StageState, kernel, operands: tuple, shift_field: int) -> None:
        """Run a kernel; a dynamic method first sets its shift from the largest accumulator."""
        if self.method.dynamic and s.stage.has_weights:
            s.d[shift_field] = max(0, self._measure(kernel, operands).bit_length() - 7)
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

    def step(self, image: np.ndarray, label: int | np.ndarray) -> int:
        """Train on one sample; returns max abs of the loss gradient (below GMIN: skipped).

        label: or int8 values of a target; where the image is the target, of no meaning.
        """
        self.forward(image)
        last = self.states[-1]
        if self.method.dynamic:  # of a chain of stages
            self.loss[f.LOSS_SHIFT] = self._loss_shift(self.model.input_exponent + sum(
                int(s.d[f.FORWARD_SHIFT]) - s.stage.weight_exponent for s in self.states))
        largest = self._gradient(last, label)
        self.steps += 1
        if largest < GMIN:
            self.skipped += 1
            return largest
        exponents = Exponents(len(self.states))
        for i, s in reversed(list(enumerate(self.states))):
            wanted: list[bytearray | bytes] = [b"", b""]
            for j, (tensor, add) in enumerate(zip(s.stage.inputs, (f.ADD_DX, f.ADD_DZ),
                                                  strict=False)):
                if self.needs[i] and tensor != IMAGE and self.needs[tensor]:
                    s.d[add] = exponents.add(self.model.stages, i, tensor)
                    wanted[j] = self.states[tensor].g
            if any(wanted):
                self._run(s, *self._call(s, "backward", *wanted), f.BACKWARD_SHIFT)
            if s.trained:
                self._update(s)
        if self.keep:
            self._refresh()
        return largest

    def _gradient(self, last: StageState, label: int | np.ndarray) -> int:
        """The loss gradient of the outputs; returns its largest absolute value."""
        if self.model.loss == f.CROSS_ENTROPY:
            assert isinstance(label, int)
            return oracle.cross_entropy((last.g, last.y, self.scratch, self.loss), label)
        target = np.asarray(label, np.int8).tobytes() if self.model.n_targets else self.image
        found = array("i", [0, 0])
        self.error = oracle.squared_error((last.g, last.y, target, found, self.loss))
        return found[0]

    def _update(self, s: StageState) -> None:
        bits = s.update_bits
        if self.method.rule == f.ONLY_BIAS:
            s.d[f.UPDATE_SHIFT] = self.update_shift(s, bits)
            oracle.bias_update((s.bias, s.g, s.d))
            return
        kernel, operands = self._call(s, "update")
        if self.method.dynamic:
            bits = self._measure(kernel, operands).bit_length()
        s.d[f.UPDATE_SHIFT] = self.update_shift(s, bits)
        kernel(operands)

    def update_shift(self, s: StageState, bits: int) -> int:
        """gs = gb - u, one more after every 8 epochs, 0..30; of a bias -30..30."""
        u = self.conv_u if s.stage.kind == f.CONV2D else self.u
        least = -30 if self.method.rule == f.ONLY_BIAS else 0
        return max(least, min(30, bits - u + self.epoch // HALVING_EPOCHS))

    def fit(self, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
        """Train for some epochs, each in a new order, shuffled from 0 .. n - 1."""
        for _ in range(epochs):
            order = array("H", range(len(images)))
            oracle.shuffle((order, self.state))
            for i in order:
                self.step(images[i], int(labels[i]))
            self.epoch += 1
