"""The options that say where the device package runs, and the target or board they name."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from priot.errors import PriotError
from priot.targets import BACKENDS, PICO_HEAP_BYTES, Target
from priot.targets.unix import UnixTarget

if TYPE_CHECKING:
    from priot.board import Board


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the device package runs."""
    parser.add_argument("--target", metavar="unix|emulator|qemu|PORT",
                        help="where to run: unix (default), MicroPython on this machine; "
                        "emulator, an emulated Pico; qemu, the Pico's code without its speed; "
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
    """The target that the options name. Raises PriotError."""
    name = _one_of(args) or "unix"
    if name == "unix":
        yield _unix_target(args)
        return
    if args.heap is not None:
        raise PriotError("--heap", "is for the unix port; a board has the heap it has")
    if name == "qemu":
        from priot.targets.qemu import QemuTarget

        yield QemuTarget(args.stream)
    elif name == "emulator" or _is_port(name):
        with _board(name, args.stream) as board:
            yield board
    else:
        raise PriotError("target", f"{name} is none of unix, emulator, qemu, nor a port as "
                         "/dev/ttyACM0")


def _unix_target(args: argparse.Namespace) -> UnixTarget:
    if args.stream:
        raise PriotError("--stream", "is for a board; the unix port reads the files of the host")
    heap = PICO_HEAP_BYTES if args.heap is None else args.heap
    if heap < 65536:
        raise PriotError("--heap", f"found {heap}, expected at least 65536 bytes")
    return UnixTarget(heap)


@contextmanager
def choose_board(args: argparse.Namespace) -> Iterator["Board"]:
    """The board that the options of add_board_options name. Raises PriotError."""
    with _board(_one_of(args)) as board:
        yield board


def _one_of(args: argparse.Namespace) -> str | None:
    if args.port and args.target:
        raise PriotError("--port", "says the same as --target: give one of them")
    return args.port or args.target


def _is_port(name: str) -> bool:
    return "/" in name or name.upper().startswith("COM")


@contextmanager
def _board(name: str | None, stream: bool = False) -> Iterator["Board"]:
    # Imported here: a run on the unix port needs neither mpremote nor an emulator.
    from priot.board import Board

    if name != "emulator":
        with Board(name, show_progress=True, stream=stream) as board:
            yield board
        return
    from priot.targets.emulator import emulated_port

    with emulated_port() as port, Board(port, show_progress=True, stream=stream) as board:
        board.name = name
        yield board
