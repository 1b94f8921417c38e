"""The command `priot`: finds the module of a subcommand and turns expected failures into a line.

A subcommand is a module of commands/ with `add_parser(subparsers)`, which adds one parser, and
`main(args) -> int`. Modules are imported only when asked for: `priot inspect` needs no torch.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from priot.errors import PriotError
from priot.paths import nearest

# subcommand -> module and the line `priot --help` shows
COMMANDS = {
    "dataset": ("dataset", "make a dataset file from digits, MNIST, arrays or image folders"),
    "pretrain": ("pretrain", "train a float network"),
    "quantize": ("quantize", "turn a float network into an int8 model file"),
    "import": ("import_", "turn an ONNX or TFLite file into an int8 model file"),
    "inspect": ("inspect", "show what is in a model, dataset or adapter file"),
    "convert": ("convert", "make a file of today of one of an older version"),
    "adapt": ("adapt", "adapt a model to pictures in class folders, the whole way"),
    "train": ("train", "adapt a model by running the device package"),
    "evaluate": ("evaluate", "measure a model's accuracy by running the device package"),
    "report": ("report", "make a page of a training run or an experiment"),
    "demo": ("demo", "run the main job with no board"),
    "plan": ("plan", "say what a model and a method need of a board's flash and RAM"),
    "deploy": ("deploy", "copy the package, a model and datasets to a board"),
    "push": ("push", "copy datasets to a board"),
    "pull": ("pull", "bring scores, masks and reports from a board"),
    "bench": ("bench", "measure time and memory per training step"),
    "experiment": ("experiment", "run a grid of methods, angles and seeds"),
    "repl": ("repl", "open MicroPython's prompt on this machine"),
    "pico": ("pico", "start an emulated Pico"),
}
# Options that name a file beside what a command is for; what was written is said at the end.
_OUTPUTS = ("save", "mask", "plot", "json")


def available() -> dict[str, str]:
    """Subcommands whose module is installed, with their line of help."""
    return {name: text for name, (module, text) in COMMANDS.items()
            if importlib.util.find_spec(f"priot.commands.{module}")}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command in one line, as all failures are told."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        command, *subcommand = self.prog.split()
        where = ": ".join([command, *subcommand])
        self.exit(2, f"{where}: {' '.join(message.split())}; see '{self.prog} --help'\n")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser; only the module of `command` is imported, the others are names."""
    parser = _Parser(
        prog="priot", description="Adapt int8 networks on a microcontroller, from the host.")
    parser.add_argument("--version", action="version", version=f"priot {version('priot')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in available().items():
        if name == command:
            _module(name).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text, add_help=False)
    return parser


def _module(command: str):
    return importlib.import_module(f"priot.commands.{COMMANDS[command][0]}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: 0, 1 for a failure, 130 for Ctrl-C.

    A command that cannot be understood ends in SystemExit with status 2.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    # In products as small as those here numpy's threads wait for one another, and take four times
    # the processor time. Read when numpy is imported, which is later.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    command = next((a for a in arguments if a in available()), None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every letter is in every encoding
    try:
        args = build_parser(command).parse_args(arguments)
        args.words = ["priot", *arguments]  # for reports that say how to repeat them
        return _run(args)
    except KeyboardInterrupt:
        if argv is None:  # the process ends here: a second Ctrl-C must not make it a traceback
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("priot: stopped: interrupted from the keyboard", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout went away, as `| head` does
        return 1
    except (PriotError, ValueError, OSError) as error:
        print(f"priot: {_one_line(error)}", file=sys.stderr)
        return 1


def run_logged(log: Path, *words: object) -> None:
    """Run a command from a script of many, its output to a file. Raises PriotError where it fails.

    words: as behind `priot`, of any type that str() knows.
    """
    line = [str(word) for word in words]
    with log.open("a") as file, contextlib.redirect_stdout(file):
        print("$ priot", shlex.join(line))
        if main(line):
            raise PriotError(line[0], f"failed; {log} has its output")


def _run(args: argparse.Namespace) -> int:
    from priot.reports.json_file import (
        check_report,  # numpy comes with it, which `--help` needs not
    )

    check_report(getattr(args, "json", None))
    named = [getattr(args, option, None) for option in _OUTPUTS]
    before = {path: _state(path) for path in named if isinstance(path, Path)}
    status = _module(args.command).main(args)
    for path in before:
        if _state(path) not in (None, before[path]):
            print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return status


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror[:1].lower()}{error.strerror[1:]}"
        missing = isinstance(error, FileNotFoundError) and error.filename
        meant = nearest(error.filename) if missing else None
        return f"{text}; did you mean {meant}?" if meant else text
    if isinstance(error, PriotError) and error.details:
        return str(error)
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
