"""Refuses training options as the device's trainer does, before anything is copied to it.

The rules and texts of device/priot/methods.py; a test compares the two.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from priot.errors import PriotError
from priot.network import fields as f
from priot.oracle.step import METHODS

# least and largest step that was seen to train
USEFUL_STEPS = {"priot": (6, 10), "priot-s": (6, 10), "gain": (6, 8), "weights": (0, 5),
                "niti": (1, 4), "head": (0, 5)}


def check_options(method: str, n_layers: int, options: Mapping[str, Any]) -> list[str]:
    """Warnings about keywords of the Trainer, for a network of `n_layers` with weights.

    Raises PriotError for what cannot train.
    """
    rule = METHODS[method]
    fraction = options.get("fraction")
    _check_prune(method, options.get("threshold"), options.get("keep"))
    if fraction is not None and (rule.dynamic or rule.last):
        raise PriotError("fraction", f"{method} trains whole layers")
    _check_range("fraction", fraction, 1, 100)
    select = options.get("select", "largest")
    _check_word("select", select, ("largest", "random", "layers"))
    if select != "largest" and fraction is None and rule.fraction is None:
        raise PriotError("select", f"{select} needs a fraction")
    for name, low, high in (("last", 1, n_layers), ("step", -20, 30), ("gmin", 0, 127),
                            ("halve", 0, 65535)):
        _check_range(name, options.get(name), low, high)
    if options.get("last") is not None and rule.last not in (0, None, options["last"]):
        raise PriotError("last", f"{method} trains the last layer")
    _check_word("rounding", options.get("rounding"), (None, "rhu", "psr"))
    _check_word("layout", options.get("layout", "auto"), ("auto", "kept", "small"))
    return _warnings(method, options.get("step"), options.get("rounding"))


def _check_prune(method: str, threshold: int | None, keep: int | None) -> None:
    """The threshold, fixed or found by top-k."""
    for name, value in (("threshold", threshold), ("keep", keep)):
        if value is not None and METHODS[method].rule != f.PRUNE:
            raise PriotError(name, f"{method} prunes nothing")
    if threshold is not None and keep is not None:
        raise PriotError("threshold", "top-k finds its own, give keep or threshold")
    _check_range("threshold", threshold, -127, 127)
    if keep is not None and keep >= 97:
        raise PriotError("keep", f"{keep} %, expected 1..96: at 97 % the scores that must fall "
                         "below the k-th are clamped at 127 and nothing trains")
    _check_range("keep", keep, 1, 96)


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise PriotError(name, f"{value}, expected {low}..{high}")


def _check_word(name: str, value: str | None, words: Sequence[str | None]) -> None:
    if value not in words:
        raise PriotError(name, f"{value} is none of {', '.join(w for w in words if w)}")


def _warnings(method: str, step: int | None, rounding: str | None) -> list[str]:
    warnings = []
    low, high = USEFUL_STEPS[method]
    if step is not None and not low <= step <= high:
        warnings.append(f"step {step} is outside the useful range {low}..{high} of {method}")
    if rounding == "rhu" and METHODS[method].rounding == f.PSR:
        warnings.append(f"rounding rhu: {method} may look healthy for ten epochs and then "
                        "collapse; psr does not")
    return warnings
