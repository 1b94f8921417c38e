"""The options that several subcommands share, and what the given ones name."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from priot.errors import PriotError
from priot.jobs.protocol import BACKENDS, PICO_HEAP_BYTES, Target
from priot.methods import METHODS, OPTIONS, WORDS
from priot.targets import choose

if TYPE_CHECKING:
    from priot.board import Board

LOSSES = ("cross-entropy", "squared")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE`; read it as `args.json` (None where it is not given)."""
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="also write what is reported as JSON")


def add_training_options(parser: argparse.ArgumentParser, advised: bool = False) -> None:
    """The options of a method, named as the keywords of the device's Trainer.

    advised: without a default for the method, which is what the plan recommends.
    """
    default = "what the plan recommends" if advised else "priot"
    parser.add_argument("--method", choices=METHODS, default=None if advised else "priot",
                        help=f"device/METHODS.md explains them (default {default})")
    parser.add_argument("--seed", type=int, help="of scores and order (default 1)")
    parser.add_argument("--step", type=int, metavar="U",
                        help="step size: one more doubles the step (default by method: "
                        + ", ".join(f"{name} {m.step}" for name, m in METHODS.items()) + ")")
    parser.add_argument("--threshold", type=int, metavar="SCORE",
                        help="prune scores below it, -127..127 (default: priot -64, priot-s 0)")
    parser.add_argument("--keep", type=int, metavar="PERCENT",
                        help="keep the top scores of each layer instead of a threshold")
    parser.add_argument("--fraction", type=int, metavar="PERCENT",
                        help="of the edges that get a score (default: all; priot-s 10)")
    parser.add_argument("--select", choices=WORDS["select"],
                        help="which edges get a score: the largest weights (default), random "
                        "ones, or all but in the largest layer")
    parser.add_argument("--last", type=int, metavar="K",
                        help="train only the last K layers (default: all)")
    parser.add_argument("--gmin", type=int, metavar="G", help="no backward pass for samples "
                        "whose loss gradient is smaller, 0..127 (default 2)")
    parser.add_argument("--halve", type=int, metavar="EPOCHS",
                        help="halve the step so often, 0 for never (default 8)")
    parser.add_argument("--rounding", choices=WORDS["rounding"],
                        help="of updates: half up, or pseudo-stochastic (default by method)")
    parser.add_argument("--layout", choices=WORDS["layout"],
                        help="effective weights kept for speed, or computed a few rows at a time "
                        "(default auto: kept where there is room)")


def add_weights_option(parser: argparse.ArgumentParser) -> None:
    """Add `--weights-in`, which weights_in_flash reads."""
    parser.add_argument("--weights-in", choices=("ram", "flash"),
                        help="where a Pico has the backbone's weights: flash takes less RAM and "
                        "more time (default: flash where RAM is short)")


def weights_in_flash(args: argparse.Namespace) -> bool | None:
    """Whether weights stay in flash, as the device's `load` takes it; None: not said."""
    return None if args.weights_in is None else args.weights_in == "flash"


def options_from(args: argparse.Namespace) -> dict[str, Any]:
    """Keywords of the device's Trainer that were given."""
    return {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the device package runs."""
    parser.add_argument("--target", metavar="unix|emulator|qemu|PORT",
                        help="where to run: unix (default), MicroPython on this machine; "
                        "emulator, an emulated Pico; qemu, the Pico's code without its speed "
                        "(qemu-m4, -m7, -m33, -rv32: those processors); "
                        "or the serial port of a board, as /dev/ttyACM0")
    parser.add_argument("--port", help="serial port of a board: the same as --target PORT")
    parser.add_argument("--stream", action="store_true",
                        help="keep the datasets here and send a board every sample when it is "
                        "wanted (done anyway where they do not fit into its flash)")
    parser.add_argument("--heap", type=int, metavar="BYTES",
                        help="heap of the unix port (default: that of a Pico, "
                        f"{PICO_HEAP_BYTES:,})")
    parser.add_argument("--backend", choices=BACKENDS,
                        help="kernels (default: the fastest that is there)")


def add_board_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that needs a board and its flash."""
    parser.add_argument("--port", help="serial port of the board, as /dev/ttyACM0 "
                        "(default: the only one plugged in)")
    parser.add_argument("--target", choices=("emulator",),
                        help="emulator: the emulated Pico of 'make pico', started if it is off")


@contextmanager
def choose_target(args: argparse.Namespace) -> Iterator[Target]:
    """The target that the options of add_target_options name. Raises PriotError."""
    with choose.target(_one_of(args) or "unix", args.heap, args.stream) as target:
        yield target


@contextmanager
def choose_board(args: argparse.Namespace) -> Iterator["Board"]:
    """The board that the options of add_board_options name. Raises PriotError."""
    with choose.board(_one_of(args)) as board:
        yield board


def _one_of(args: argparse.Namespace) -> str | None:
    if args.port and args.target:
        raise PriotError("--port", "says the same as --target: give one of them")
    return args.port or args.target
