"""`priot deploy`: copy the package, a model and datasets to a board, and say what they take."""

import argparse
from pathlib import Path
from typing import Any

from priot.board.deploy import deploy
from priot.board.install import PACKAGE, Copied
from priot.board.memory import Memory
from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.planning.flash import BLOCK_BYTES, flash_blocks
from priot.planning.text import flash_lines, ram_lines, weights_note
from priot.reports.json_file import write_json


def _files_table(copied: list[Copied]) -> list[str]:
    """What became of the files, a line each."""
    rows = [(f"{PACKAGE}/*", [file for file in copied if file.path.startswith(PACKAGE + "/")])]
    rows += [(file.path, [file]) for file in copied if file not in rows[0][1]]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}}     bytes"]
    for name, files in rows:
        sent = [file for file in files if file.sent]
        state = (files[0].state if len(files) == 1 else "was there" if not sent else
                 "copied" if len(sent) == len(files) else
                 f"{len(sent)} of {len(files)} files copied")
        lines.append(f"{name:{width}} {sum(file.size for file in files):>9,}  {state}")
    return lines


def _memory_tables(report: dict[str, Any], memory: Memory) -> list[str]:
    """RAM and flash, in the rows of `priot plan`."""
    flash = flash_blocks({file["path"]: file["size"] for file in report["files"]})
    used = (report["flash_bytes"] - report["flash_free_bytes"]) // BLOCK_BYTES
    objects = memory.model - memory.weights - memory.work - memory.late
    return [
        *ram_lines(memory.boot, memory.package, memory.native + memory.late, memory.weights,
                   [("work", memory.work, "activations and scratch, when just loaded")], objects,
                   ("left", memory.free, f"of {memory.heap:,}, for training"),
                   weights_note(memory.in_flash)), "",
        *flash_lines(flash, report["flash_bytes"] // BLOCK_BYTES, max(0, used - flash.blocks))]


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
    if report["note"]:
        print(f"note: {report['note']}")
    print(*_files_table([Copied(**file) for file in report["files"]]), "", sep="\n")
    print(*_memory_tables(report, memory), "", sep="\n")
    if memory.in_flash:
        print(f"weights in flash: {memory.weights_reason}")
    hint = f'net = priot.load("{args.model.name}")' if args.model else "priot.help()"
    print(f"now: mpremote connect {where}, then import priot, {hint}")
    write_json(args.json, report)
    return 0
