"""Links stages: checks each, and fills in what follows from the stages before it.

device/priot/model_file.py refuses the same.
"""

from collections.abc import Sequence

from priot.errors import mismatch
from priot.network import fields as f
from priot.network.stage import IMAGE, NO_INPUT, Shape, Stage, global_exponent

# 131072 products of 127 * 127 stay below 2^31
MAX_PRODUCTS = 131072
# of a tensor, its padding included, and of the weights of a stage: what the kernels' checks take
MAX_ELEMENTS = 1 << 23
MAX_OUTPUTS = 32767  # with squared error: the sum of so many squares of 127 is below 2^29
MAX_SIDE = 63  # of a kernel, and of a window that is not global
MAX_AREA = 225  # of both
MAX_STRIDE = 15
MAX_ADD_SHIFT = 15  # between the exponents of the two inputs of a sum
# Logits differ by at most 254: beyond 8 bits, either all differences vanish or all saturate.
MAX_LOSS_SHIFT = 8
_TABLE_EXPONENT = 4  # EXP_TABLE counts in sixteenths


def loss_shift(exponent: int) -> int:
    """t of cross_entropy: from the exponent of the logits to the table's sixteenths, -8..8."""
    return max(-MAX_LOSS_SHIFT, min(MAX_LOSS_SHIFT, exponent + _TABLE_EXPONENT))


def target_shift(exponent: int, target: int) -> int:
    """What brings a target to the exponent of the outputs, to the left, -8..8. Beyond, every
    target is 0 or out of reach."""
    return max(-MAX_LOSS_SHIFT, min(MAX_LOSS_SHIFT, target - exponent))


def exponents(stages: Sequence[Stage], image: int) -> list[int]:
    """The exponent of every stage's output, from that of the image.

    That of a sum is the finer one of its inputs', plus the forward shift.
    """
    found: list[int] = []
    for stage in stages:
        below = [image if n == IMAGE else found[n] for n in stage.inputs]
        found.append(min(below) + stage.forward_shift - stage.weight_exponent)
    return found


def addition_shift(stage: Stage, found: Sequence[int], image: int) -> int:
    """How far to the left the second input of a sum is shifted, to the right the first if below 0,
    so that both have one exponent. found: the exponents of all stages. 0 of other kinds."""
    first, *second = [image if n == IMAGE else found[n] for n in stage.inputs]
    return second[0] - first if second else 0


def most_bias(stage: Stage) -> int:
    """The largest bias beside which every sum of a stage fits int32."""
    return 2**31 - 1 - 127 * 127 * stage.n_row


def largest_bias(stage: Stage) -> int:
    """What biases are clamped at when a network is quantised."""
    return min(1 << 30, most_bias(stage))


def link(stages: Sequence[Stage], shape: Shape, classes: int, signed: bool = False,
         loss: int = f.CROSS_ENTROPY) -> None:
    """Check stages on an input of (channels, height, width) and link each to those before it.

    signed: the input is -127..127. loss: of device/priot/fields.py; with squared error `classes`
    is the number of outputs. Raises ValueError, "stage i (kind): field: found .., expected ..".
    """
    check_image(shape)
    if loss == f.CROSS_ENTROPY and not 2 <= classes <= 256:
        raise ValueError(mismatch("classes", classes, "2..256"))
    if loss != f.CROSS_ENTROPY and not 1 <= classes <= MAX_OUTPUTS:
        raise ValueError(mismatch("outputs", classes, f"1..{MAX_OUTPUTS}"))
    if loss == f.RECONSTRUCTION and classes != shape[0] * shape[1] * shape[2]:
        raise ValueError(mismatch("outputs", classes, f"{shape[0] * shape[1] * shape[2]}, as the "
                                                      "input has"))
    for i in range(len(stages)):
        link_stage(stages, i, shape, signed=signed)
    if not any(stage.has_weights for stage in stages):
        raise ValueError(mismatch("stages", "none with weights", "at least one"))
    read = {n for stage in stages for n in stage.inputs}
    for i, stage in enumerate(stages[:-1]):
        if i not in read:
            raise ValueError(f"stage {i} ({stage.name}): no stage reads its output")
    channels, height, width = stages[-1].shape_out
    if channels * height * width != classes:
        raise ValueError(mismatch("outputs of the last layer", channels * height * width,
                                  f"{classes} classes" if loss == f.CROSS_ENTROPY else classes))
    if stages[-1].relu:
        raise ValueError("last stage: " + mismatch("relu", 1, "0, logits of either sign"))


def check_image(shape: Shape) -> None:
    """Raise ValueError for an input that no file can hold."""
    for name, value in zip(("channels", "height", "width"), shape, strict=True):
        if not 1 <= value <= 0xFFFF:
            raise ValueError(mismatch(name, value, "1..65535"))


def link_stage(stages: Sequence[Stage], i: int, shape: Shape, where: str = "",
               signed: bool = False) -> None:
    """Check stage i and fill in what follows from the stages before it. Raises ValueError.

    where: what it is called in an error, if not by its number.
    """
    stage = stages[i]
    try:
        _check_ranges(stage)
        _check_inputs(stage, i)
        _connect(stage, stages[:i], shape, signed)
        _check_sizes(stage)
    except ValueError as error:
        raise ValueError(f"{where or f'stage {i} ({stage.name})'}: {error}") from None


def _connect(stage: Stage, before: Sequence[Stage], shape: Shape, signed: bool) -> None:
    below = [None if n == IMAGE else before[n] for n in stage.inputs]
    shapes = [shape if s is None else s.shape_out for s in below]
    if shapes[0] != shapes[-1]:
        raise ValueError(mismatch("second input", _text(shapes[-1]), _text(shapes[0])))
    stage.shape_in = shapes[0]
    if stage.kind == f.LINEAR:
        channels, height, width = stage.shape_in
        stage.shape_in = channels * height * width, 1, 1
    stage.index = sum(s.has_weights for s in before) if stage.has_weights else -1
    stage.mask_dx = below[0].mask if below[0] is not None else 0
    stage.mask_dz = below[1].mask if len(below) > 1 and below[1] is not None else 0
    # sums and pools of what is not negative are not either
    stage.nonnegative = all(not signed if s is None else s.relu or (
        not s.has_weights and s.nonnegative) for s in below)


def _check_ranges(stage: Stage) -> None:
    """Raise ValueError for a field outside its range, or used by a kind that has none."""
    if stage.kind not in f.KINDS:
        raise ValueError(mismatch("kind", stage.kind, f"{min(f.KINDS)}..{max(f.KINDS)}"))
    conv, weighted, add = stage.kind == f.CONV2D, stage.has_weights, stage.kind == f.ADD
    whole, pool = stage.kind == f.GLOBAL_POOL, stage.kind in (f.MAX_POOL, f.AVG_POOL)
    has_window = max(stage.window) > 1 and not whole
    top, bottom, left, right = stage.padding
    most_down, most_across = (stage.kernel[0] - 1, stage.kernel[1] - 1) if conv else (0, 0)
    sizes, steps = (MAX_SIDE, MAX_STRIDE) if conv else (1, 1)
    windows = 0xFF if whole else MAX_SIDE if conv or pool else 1
    least, most = (global_exponent(stage.window),) * 2 if whole else (
        -128 * weighted, 127 * weighted)
    for name, value, low, high in (
            ("outputs", stage.n_out, 1, 0xFFFF),
            ("kernel", stage.kernel[0], 1, sizes), ("kernel", stage.kernel[1], 1, sizes),
            ("area of the kernel", stage.kernel[0] * stage.kernel[1], 1, MAX_AREA),
            ("stride", stage.stride[0], 1, steps), ("stride", stage.stride[1], 1, steps),
            ("padding", top, 0, most_down), ("padding", bottom, 0, most_down),
            ("padding", left, 0, most_across), ("padding", right, 0, most_across),
            ("window", stage.window[0], 1, windows), ("window", stage.window[1], 1, windows),
            ("area of the window", stage.window[0] * stage.window[1], 1 + pool,
             0xFE01 if whole else MAX_AREA),
            ("stride of the window", stage.window_stride[0], 1, MAX_STRIDE if has_window else 1),
            ("stride of the window", stage.window_stride[1], 1, MAX_STRIDE if has_window else 1),
            ("groups", stage.groups, 1, 0xFFFF if conv else 1),
            ("largest output", stage.largest, 1 if stage.relu else 127, 127),
            ("weight exponent", stage.weight_exponent, least, most),
            ("forward shift", stage.forward_shift, 0, 30 * (weighted or whole or add)),
            ("backward shift", stage.backward_shift, 0, 30 * weighted),
            ("update bits of weights", stage.update_bits_weights, 0, 31 * weighted),
            ("update bits of scores", stage.update_bits_scores, 0, 31 * weighted),
            ("update bits of the bias", stage.update_bits_bias, 0, 31 * (stage.bias is not None)),
            ("shift of the second input", stage.b_shift, -MAX_ADD_SHIFT * add,
             MAX_ADD_SHIFT * add)):
        if not low <= value <= high:
            raise ValueError(mismatch(name, value, f"{low}..{high}"))
    if stage.bias is not None and not weighted:
        raise ValueError("has a bias, and no weights")


def _check_inputs(stage: Stage, i: int) -> None:
    """Raise ValueError unless stage i reads as many earlier tensors as its kind does."""
    if not IMAGE <= stage.a < i:
        raise ValueError(mismatch("input", stage.a, f"{IMAGE}..{i - 1}"))
    if stage.kind != f.ADD and stage.b != NO_INPUT:
        raise ValueError(mismatch("second input", stage.b, "none"))
    if stage.kind == f.ADD and (not IMAGE <= stage.b < i or stage.a == stage.b):
        raise ValueError(mismatch("second input", stage.b, f"{IMAGE}..{i - 1}, another one"))


def _check_sizes(stage: Stage) -> None:
    """Raise ValueError where a kernel does not fit its input, or a sum could leave int32."""
    top, bottom, left, right = stage.padding
    channels, height, width = stage.shape_in
    height, width = height + top + bottom, width + left + right
    if height < stage.kernel[0] or width < stage.kernel[1]:
        raise ValueError(mismatch("kernel", _area(stage.kernel), "within " + _area((
            height, width))))
    if channels % stage.groups or stage.n_out % stage.groups:
        raise ValueError(mismatch("groups", stage.groups, f"a divisor of {channels} channels and "
                                                          f"{stage.n_out} outputs"))
    if not stage.has_weights and stage.n_out != channels:
        raise ValueError(mismatch("outputs", stage.n_out, f"{channels} channels"))
    _, *conv = stage.shape_conv
    if stage.kind == f.GLOBAL_POOL and tuple(conv) != stage.window:
        raise ValueError(mismatch("window", _area(stage.window), f"the image, {_area(conv)}"))
    if conv[0] < stage.window[0] or conv[1] < stage.window[1]:
        raise ValueError(mismatch("window", _area(stage.window), f"within {_area(conv)}"))
    # Overlapping pooling windows may all send their gradient to one position.
    down, across = (k * -(-size // step) for k, size, step in zip(
        stage.kernel, stage.window, stage.window_stride, strict=True))
    weighted = stage.has_weights
    for name, value, most in (
            ("values of the input", channels * height * width, MAX_ELEMENTS),
            ("values of the output", stage.n_out * stage.positions, MAX_ELEMENTS),
            ("weights", weighted * stage.n_out * stage.n_row, MAX_ELEMENTS),
            ("weights of a row", weighted * stage.n_row, MAX_PRODUCTS),
            ("positions", weighted * stage.positions, MAX_PRODUCTS),
            ("filters times kernel area",
             weighted * stage.n_out // stage.groups * down * across, MAX_PRODUCTS)):
        if value > most:
            raise ValueError(mismatch(name, value, f"at most {most}"))


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _area(pair: Sequence[int]) -> str:
    return f"{pair[0]}x{pair[1]}"
