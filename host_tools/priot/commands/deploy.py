"""`priot deploy`: copy the package, a model and datasets to a board, and say what they take."""

import argparse
from pathlib import Path
from typing import Any

from priot.board.deploy import deploy
from priot.board.install import NATIVE, PACKAGE, Copied
from priot.board.memory import Memory
from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.planning.flash import BLOCK_BYTES, file_blocks
from priot.planning.names import board_path
from priot.reports.json_file import write_json


def _table(copied: list[Copied], memory: Memory, model: Path | None) -> list[str]:
    """What takes how much, a line each."""
    package = [file for file in copied if file.path.startswith(PACKAGE)]
    rows = [(f"{PACKAGE}/*.mpy", package, memory.package)]
    # the portable kernels take RAM where a layer wants them, counted with the model then
    for path, ram in zip(NATIVE, (memory.native, 0), strict=True):
        rows.append((path, [file for file in copied if file.path == path], ram))
    for file in copied:
        if not file.path.startswith("/lib/"):
            is_model = model is not None and file.path == board_path(model)
            rows.append((file.path, [file], memory.model if is_model else 0))
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'':{width}}     bytes     flash       RAM"]
    for name, files, ram in rows:
        flash = sum(BLOCK_BYTES * file_blocks(file.size) for file in files)
        sent = sum(file.sent for file in files)
        state = "was there" if not sent else "copied" if sent == len(files) else (
            f"{sent} of {len(files)} files copied")
        lines.append(f"{name:{width}} {sum(file.size for file in files):>9,} {flash:>9,} "
                     f"{ram:>9,}  {state}")
    return lines


def add_parser(subparsers: Any) -> None:
    """Add `priot deploy`."""
    parser = subparsers.add_parser("deploy", description=__doc__,
                                   help="copy the package, a model and datasets to a board")
    parser.add_argument("model", type=Path, nargs="?", help="model file (.priot)")
    parser.add_argument("dataset", type=Path, nargs="*", help="dataset files (.prd)")
    add_board_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot deploy`."""
    with choose_board(args) as board:
        report = deploy(board, args.model, args.dataset)
        where = board.port
    memory = Memory(**report["heap"])
    print(f"{report['board']}, MicroPython {report['firmware']}")
    for line in _table([Copied(**file) for file in report["files"]], memory, args.model):
        print(line)
    print(f"free: {report['flash_free_bytes']:,} bytes of flash, {memory.free:,} of "
          f"{memory.heap:,} bytes of RAM for training")
    hint = f'net = priot.load("{args.model.name}")' if args.model else "priot.help()"
    print(f"now: mpremote connect {where}, then import priot, {hint}")
    write_json(args.json, report)
    return 0
