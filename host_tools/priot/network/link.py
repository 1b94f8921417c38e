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
# Logits differ by at most 254: beyond 8 bits, either all differences vanish or all saturate.
MAX_LOSS_SHIFT = 8
_TABLE_EXPONENT = 4  # EXP_TABLE counts in sixteenths


def loss_shift(exponent: int) -> int:
    """t of cross_entropy: from the exponent of the logits to the table's sixteenths, -8..8."""
    return max(-MAX_LOSS_SHIFT, min(MAX_LOSS_SHIFT, exponent + _TABLE_EXPONENT))


def exponents(stages: Sequence[Stage], image: int) -> list[int]:
    """The exponent of every stage's output, from that of the image."""
    found: list[int] = []
    for stage in stages:
        below = image if stage.a == IMAGE else found[stage.a]
        found.append(below + stage.forward_shift - stage.weight_exponent)
    return found


def link(stages: Sequence[Stage], shape: Shape, classes: int) -> None:
    """Check stages on an input of (channels, height, width) and link each to those before it.

    Raises ValueError, "stage i (kind): field: found .., expected ..".
    """
    check_image(shape)
    if not 2 <= classes <= 256:
        raise ValueError(mismatch("classes", classes, "2..256"))
    for i in range(len(stages)):
        link_stage(stages, i, shape)
    if not any(stage.has_weights for stage in stages):
        raise ValueError(mismatch("stages", "none with weights", "at least one"))
    channels, height, width = stages[-1].shape_out
    if channels * height * width != classes:
        raise ValueError(mismatch("outputs of the last layer", channels * height * width,
                                  f"{classes} classes"))
    if stages[-1].relu:
        raise ValueError("last stage: " + mismatch("relu", 1, "0, logits of either sign"))


def check_image(shape: Shape) -> None:
    """Raise ValueError for an input that no file can hold."""
    for name, value in zip(("channels", "height", "width"), shape, strict=True):
        if not 1 <= value <= 0xFFFF:
            raise ValueError(mismatch(name, value, "1..65535"))


def link_stage(stages: Sequence[Stage], i: int, shape: Shape, where: str = "") -> None:
    """Check stage i and fill in what follows from the stages before it. Raises ValueError.

    where: what it is called in an error, if not by its number.
    """
    stage = stages[i]
    try:
        _check_ranges(stage)
        _check_is_computed(stage, i)
        _connect(stage, stages[:i], shape)
        _check_sizes(stage)
    except ValueError as error:
        raise ValueError(f"{where or f'stage {i} ({stage.name})'}: {error}") from None


def _connect(stage: Stage, before: Sequence[Stage], shape: Shape) -> None:
    below = before[-1] if before else None
    stage.shape_in = below.shape_out if below else shape
    if stage.kind == f.LINEAR:
        channels, height, width = stage.shape_in
        stage.shape_in = channels * height * width, 1, 1
    stage.index = sum(s.has_weights for s in before) if stage.has_weights else -1
    stage.mask_dx = below is not None and below.relu
    # an image is 0..127; pools of what is not negative are not either
    stage.nonnegative = below is None or below.relu or (
        not below.has_weights and below.nonnegative)


def _check_ranges(stage: Stage) -> None:
    """Raise ValueError for a field outside its range, or used by a kind that has none."""
    if stage.kind not in f.KINDS:
        raise ValueError(mismatch("kind", stage.kind, f"{min(f.KINDS)}..{max(f.KINDS)}"))
    conv, weighted = stage.kind == f.CONV2D, stage.has_weights
    whole = stage.kind == f.GLOBAL_POOL
    pool, has_window = not weighted and not whole, max(stage.window) > 1 and not whole
    top, bottom, left, right = stage.padding
    most_down, most_across = (stage.kernel[0] - 1, stage.kernel[1] - 1) if conv else (0, 0)
    sizes = 15 if conv else 1
    windows = 1 if stage.kind == f.LINEAR else 255 if whole else 15
    least, most = (global_exponent(stage.window),) * 2 if whole else (
        -128 * weighted, 127 * weighted)
    for name, value, low, high in (
            ("outputs", stage.n_out, 1, 0xFFFF),
            ("kernel", stage.kernel[0], 1, sizes), ("kernel", stage.kernel[1], 1, sizes),
            ("stride", stage.stride[0], 1, sizes), ("stride", stage.stride[1], 1, sizes),
            ("padding", top, 0, most_down), ("padding", bottom, 0, most_down),
            ("padding", left, 0, most_across), ("padding", right, 0, most_across),
            ("window", stage.window[0], 1 + pool, windows),
            ("window", stage.window[1], 1 + pool, windows),
            ("stride of the window", stage.window_stride[0], 1, 15 if has_window else 1),
            ("stride of the window", stage.window_stride[1], 1, 15 if has_window else 1),
            ("weight exponent", stage.weight_exponent, least, most),
            ("forward shift", stage.forward_shift, 0, 30 * (weighted or whole)),
            ("backward shift", stage.backward_shift, 0, 30 * weighted),
            ("update bits of weights", stage.update_bits_weights, 0, 31 * weighted),
            ("update bits of scores", stage.update_bits_scores, 0, 31 * weighted),
            ("update bits of the bias", stage.update_bits_bias, 0, 0),
            ("shift of the second input", stage.b_shift, 0, 0)):
        if not low <= value <= high:
            raise ValueError(mismatch(name, value, f"{low}..{high}"))


def _check_is_computed(stage: Stage, i: int) -> None:
    """Raise ValueError for what the format has a place for and no kernel computes yet."""
    for name, lacking in (
            ("a second input", stage.b != NO_INPUT),
            ("another input than the stage before", stage.a != i - 1),
            ("groups", stage.groups != 1),
            ("a bias", stage.bias is not None),
            ("an upper clamp", stage.largest != 127),
            ("a kernel that is not square", stage.kernel[0] != stage.kernel[1]),
            ("strides that differ", stage.stride[0] != stage.stride[1]),
            ("paddings that differ", len(set(stage.padding)) > 1),
            ("a window that is not square",
             stage.window[0] != stage.window[1] and stage.kind != f.GLOBAL_POOL),
            ("strides of the window that differ",
             stage.window_stride[0] != stage.window_stride[1])):
        if lacking:
            raise ValueError(f"has {name}, which this version cannot compute")


def _check_sizes(stage: Stage) -> None:
    """Raise ValueError where a kernel does not fit its input, or a sum could leave int32."""
    top, bottom, left, right = stage.padding
    channels, height, width = stage.shape_in
    height, width = height + top + bottom, width + left + right
    if height < stage.kernel[0] or width < stage.kernel[1]:
        raise ValueError(mismatch("kernel", _area(stage.kernel), "within " + _area((
            height, width))))
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
            ("filters times kernel area", weighted * stage.n_out * down * across, MAX_PRODUCTS)):
        if value > most:
            raise ValueError(mismatch(name, value, f"at most {most}"))


def _area(pair: Sequence[int]) -> str:
    return f"{pair[0]}x{pair[1]}"
