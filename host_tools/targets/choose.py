"""The options `--target`, `--heap` and `--backend`, and the target they name."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from host_tools.errors import PriotError
from host_tools.targets import PICO_HEAP_BYTES, Target
from host_tools.targets.unix import UnixTarget


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the device package runs."""
    parser.add_argument("--target", default="unix",
                        help="where to run: unix (default), MicroPython's unix port")
    parser.add_argument("--heap", type=int, default=PICO_HEAP_BYTES, metavar="BYTES",
                        help="heap of the unix port (default: that of a Pico)")
    parser.add_argument("--backend", choices=("native", "viper", "plain"),
                        help="kernels (default: the fastest that is there)")


@contextmanager
def choose_target(args: argparse.Namespace) -> Iterator[Target]:
    """The target that the options name. Raises PriotError."""
    if args.target == "unix":
        if args.heap < 65536:
            raise PriotError("heap", f"found {args.heap}, expected at least 65536 bytes")
        yield UnixTarget(args.heap)
    else:
        raise PriotError("target", f"{args.target} is none of unix")
