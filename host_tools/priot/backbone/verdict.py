"""What a model's fidelity means: what is hopeless, what is unusual, as lines for people.

Hopeless is what no training on a board can mend; each line says what to do instead.
"""

from collections.abc import Iterable

import numpy as np

from priot.backbone.fidelity import Fidelity, LayerFidelity
from priot.formats import Dataset, Model

MOST_LOST = 0.5  # of a layer's float weights: by far more than rounding takes
MUCH_LOST = 0.2
LEAST_KAPPA = 0.5
MOST_ERROR = 2.0  # of int8, beside that of the float network
MUCH_ERROR = 1.1
MOST_SATURATED = 0.5  # of the images, a logit at +-127
DIM = 64  # images whose brightest pixel is below it use less than half of the range
_NAMED = 8  # classes that a line lists
_WORDS = (("images", "pixels"), ("samples", "values"))  # of classes, of squared error


def images_problem(dataset: Dataset, squared: bool = False) -> str | None:
    """Why nothing can be calibrated on these images, in one line; None where it can.

    squared: the loss is squared error, and labels mean nothing.
    """
    flat = dataset.images.reshape(len(dataset), -1)
    constant = _constant(dataset)
    images, pixels = _WORDS[squared]
    if constant == len(dataset):
        return (f"every one of the {constant} {images} has one value in all its {pixels}, so "
                f"there is nothing to calibrate on; give {images} the network was pretrained on")
    if len(dataset) > 1 and (flat == flat[0]).all():
        return (f"all {len(dataset)} {images} are the same, which fits no shift to others; give "
                f"{images} the network was pretrained on")
    if 2 * constant > len(dataset):
        return (f"{constant} of {len(dataset)} {images} have one value in all their {pixels}; "
                "leave these out")
    found = np.unique(dataset.labels)
    if not squared and len(dataset) > 1 and len(found) == 1:
        return (f"all {len(dataset)} images are of class {_class(dataset, int(found[0]))}, whose "
                "activations fit no other; give images of all classes")
    return None


def images_warnings(dataset: Dataset, squared: bool = False) -> list[str]:
    """What is unusual about images to calibrate on, a line each; squared: see images_problem."""
    lines = []
    images, pixels = _WORDS[squared]
    brightest = int(np.abs(dataset.images.astype(int)).max())
    if brightest < DIM:
        what, small, larger = (("largest value", "small", "larger") if squared else
                               ("brightest pixel", "dim", "brighter"))
        lines.append(f"the {what} is {brightest} of 127: shifts will fit {small} {images} only, "
                     f"and {larger} ones saturate; are they scaled as for pretraining?")
    counts = np.bincount(dataset.labels, minlength=dataset.classes)
    missing = [_class(dataset, int(c)) for c in np.flatnonzero(counts == 0)]
    if missing and not squared:
        lines.append(f"no image of class {', '.join(missing[:_NAMED])}"
                     f"{' and others' * (len(missing) > _NAMED)} among the {len(dataset)}")
    constant = _constant(dataset)
    if constant:
        lines.append(f"{constant} of {len(dataset)} {images} have one value in all their {pixels}")
    return lines


def _constant(dataset: Dataset) -> int:
    """Images of one value in all their pixels, of which there are several."""
    flat = dataset.images.reshape(len(dataset), -1)
    return int((flat.max(axis=1) == flat.min(axis=1)).sum()) if flat.shape[1] > 1 else 0


def _class(dataset: Dataset, label: int) -> str:
    return f"{label} ({dataset.names[label]})" if dataset.names else str(label)


def problem(model: Model, found: Fidelity) -> str | None:
    """Why a model is of no use, in one line that says what to do; None where it is."""
    squared = found.error is not None
    every, logits = _WORDS[squared][0], "outputs" if squared else "logits"
    one = every[:-1]
    for layer in found.layers:
        where = f"stage {layer.stage} ({layer.kind})"
        if layer.lost is not None and layer.lost >= MOST_LOST:
            return (f"{where}: {lost_text(layer.lost, layer.outlier or 1)}")
        if layer.float_silent:
            return (f"{where}: the float network's output is zero on every {one}, so nothing "
                    "above it can be calibrated or trained; pretrain it again, with a lower --lr")
        if layer.silent:
            return (f"{where}: its int8 output is zero on every {one}; pretrain with --clip, so "
                    "that no weight or activation dwarfs the others")
    for stage in model.weight_stages:
        if not stage.update_bits_weights:
            return (f"layer {stage.index} ({stage.name}): no gradient reaches it on any {one}, "
                    "so it could not be trained; pretrain again, with a lower --lr")
    if found.saturated > MOST_SATURATED * found.images:
        return (f"{logits} are at the end of their range on {found.saturated} of {found.images} "
                f"{every}; calibrate on {every} of the same kind and range, without --naive")
    if _error_ratio(found) > MOST_ERROR:
        return (f"the squared error is {found.error:.4g}, that of the float network "
                f"{found.float_error:.4g}; {_worst(found.layers)}; calibrate on more samples "
                "of the range that the network knows")
    if found.kappa is not None and found.kappa < LEAST_KAPPA:
        return (f"int8 and float agree on {found.same} of {found.images} images only (kappa "
                f"{found.kappa:.2f}); {_worst(found.layers)}; pretrain with --clip, or calibrate "
                "on more images")
    return None


def _error_ratio(found: Fidelity) -> float:
    """Squared error of int8 over that of the float network; 1 where there is none."""
    if found.error is None or not found.float_error:
        return 1.0
    return found.error / found.float_error


def lost_text(lost: float, outlier: float) -> str:
    """What became of a layer's weights, and what to do."""
    return (f"{100 * lost:.1f} % of its weights become zero, because the largest is "
            f"{outlier:,.0f} times their median; limit outliers, as priot pretrain --clip 2.5 "
            "does")


def _worst(layers: Iterable[LayerFidelity]) -> str:
    known = [layer for layer in layers if layer.sqnr_db is not None]
    if not known:
        return "no layer carries a signal"
    worst = min(known, key=lambda layer: layer.sqnr_db or 0.0)
    return (f"the signal is least in stage {worst.stage} ({worst.kind}), "
            f"{worst.sqnr_db:.1f} dB over the error")


def warnings(found: Fidelity, classes: int) -> list[str]:
    """What is unusual, a line each."""
    lines = []
    if _error_ratio(found) > MUCH_ERROR:
        lines.append(f"the squared error is {100 * _error_ratio(found) - 100:.0f} % larger than "
                     "that of the float network")
    if found.error is None and found.float_correct * classes < 1.5 * found.images:
        lines.append(f"the float network itself classifies {found.float_correct} of "
                     f"{found.images} images rightly, little more than chance: are these the "
                     "images and labels it was pretrained on, in the same range?")
    if found.saturated > 0.1 * found.images:
        images, logits = (("images", "logits") if found.error is None else
                          ("samples", "outputs"))
        lines.append(f"{logits} saturate on {found.saturated} of {found.images} {images}: they "
                     "are unlike those of the calibration")
    return lines


def weights_warnings(layers: Iterable[LayerFidelity]) -> list[str]:
    """Layers that lose much to the rounding of their weights, and those whose biases are too large
    for their sums, a line each."""
    lines = []
    for layer in layers:
        where = f"stage {layer.stage} ({layer.kind})"
        if layer.clamped:
            are = "bias is" if layer.clamped == 1 else "biases are"
            lines.append(f"{where}: {layer.clamped} {are} too large beside weights this small, "
                         "and clamped; its outputs may be wrong there")
        if layer.lost is not None and MUCH_LOST <= layer.lost < MOST_LOST:
            lines.append(f"{where}: {lost_text(layer.lost, layer.outlier or 1)}")
    return lines


# ---- as text ------------------------------------------------------------------------------------


def table(found: Fidelity) -> list[str]:
    """A line for every stage, below a line of heads."""
    lines = ["stage          zero weights (float)  saturated  signal to error"]
    for layer in found.layers:
        zero = "" if layer.zero is None else (
            f"{100 * layer.zero:.1f} % ({100 * (layer.float_zero or 0):.1f} %)")
        sqnr = ("no signal" if layer.silent or layer.float_silent else
                "exact" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f} dB")
        lines.append(f"{layer.stage:<3}{layer.kind:12}{zero:>20}{100 * layer.saturated:9.1f} %"
                     f"{sqnr:>17}")
    return lines


def agreement_text(found: Fidelity, where: object) -> str:
    """One line: how often int8 and float give the same class, and how far logits differ; with
    squared error how large it is."""
    if found.error is not None and found.float_error is not None:
        return (f"mean squared error on {found.images} samples of {where}: {found.error:.4g}, "
                f"of the float network {found.float_error:.4g}; outputs reach "
                f"{found.largest_logit:.2f} and differ by {found.largest_logit_error:.2f} at most")
    return (f"the same class as the float network on {found.same} of {found.images} images of "
            f"{where} ({100 * found.same / found.images:.1f} %); logits reach "
            f"{found.largest_logit:.2f} and differ by {found.largest_logit_error:.2f} at most")
