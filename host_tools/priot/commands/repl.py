"""`priot repl`: the MicroPython prompt on this machine, with the package; no board is needed."""
import argparse
import os
from pathlib import Path

from priot.errors import PriotError
from priot.jobs.protocol import PICO_HEAP_BYTES
from priot.targets.choose import target
from priot.targets.unix import unix_command


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `repl` to the parser of the command `priot`."""
    parser = subparsers.add_parser(
        "repl", help="MicroPython's prompt on this machine",
        description="MicroPython's prompt on this machine, where `import priot` is the package of "
                    "the board. Files are those of this folder; Ctrl-D leaves.")
    parser.add_argument("script", type=Path, nargs="?", help="run this, without a prompt")
    parser.add_argument("--heap", type=int, default=PICO_HEAP_BYTES, metavar="BYTES",
                        help="size of its heap (default: a Pico's, %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Becomes MicroPython."""
    with target("unix", args.heap):  # which looks at the size
        command, environment = unix_command(args.heap)
    if args.script:
        if not args.script.is_file():
            raise PriotError(args.script, "no such file")
        command = [*command, str(args.script)]
    os.execve(command[0], command, environment)
