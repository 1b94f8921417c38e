"""`priot plan MODEL`: flash and RAM that a model and a method need of a board, before copying."""

import argparse
import sys
from pathlib import Path
from typing import Any

from priot.commands.options import (
    add_json_option,
    add_training_options,
    add_weights_option,
    options_from,
    weights_in_flash,
)
from priot.errors import PriotError
from priot.formats import Adapter, Model
from priot.jobs.protocol import BACKENDS
from priot.planning.advice import (
    Choice,
    Recommendation,
    choices,
    in_flash,
    on_portable_kernels,
    recommend,
)
from priot.planning.board import (
    Limits,
    Plan,
    default_backend,
    file_sizes,
    limits_of,
    most_samples,
    plan_adapter,
)
from priot.planning.flash import BLOCK_BYTES
from priot.planning.known import BOARDS, KnownBoard
from priot.planning.report import describe, describe_choice
from priot.planning.sizes import Planner, Training, heap_for
from priot.planning.text import advice_table, flash_table, layers_table, ram_table
from priot.processors import named
from priot.reports.json_file import write_json
from priot.targets import choose
from priot.targets.unix import UnixTarget


def add_parser(subparsers: Any) -> None:
    """Add `priot plan`."""
    parser = subparsers.add_parser(
        "plan", help="say what a model and a method need of a board's flash and RAM",
        description=__doc__)
    parser.add_argument("model", type=Path, help="model file (.priot)")
    parser.add_argument("--dataset", type=Path, nargs="+", default=[], metavar="FILE",
                        help="datasets to deploy; the largest is trained on")
    parser.add_argument("--adapter", type=Path, metavar="FILE",
                        help="what applying this adapter costs, instead of training")
    parser.add_argument("--backend", choices=BACKENDS,
                        help="kernels on the board (default: native where it is built)")
    parser.add_argument("--board", choices=BOARDS, help="plan for this board (default: pico)")
    parser.add_argument("--port", help="ask the board at this serial port, as /dev/ttyACM0, for "
                        "its heap, flash and processor")
    parser.add_argument("--heap", type=int, metavar="BYTES",
                        help="heap of the board (default: that of --board)")
    parser.add_argument("--flash", type=int, metavar="KB",
                        help="flash for files (default: that of --board)")
    add_training_options(parser)
    parser.set_defaults(method=None)
    add_weights_option(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot plan`: status 1 where it does not fit."""
    model = Model.read(args.model)
    samples = most_samples(args.dataset, model)
    board, notes = _board(args)
    options = options_from(args)
    found: list[Choice] = []
    least: Choice | None = None
    flash: Choice | None = None
    planner = Planner(UnixTarget(heap_for(args.model)), args.model, board.backend,
                      flash=weights_in_flash(args))
    if args.adapter:
        title, plan = _adapter_plan(args, model, planner, board, options)
    else:
        training = Training.of(args.method or "priot", **options)
        files = file_sizes(args.model, args.dataset)
        found = choices(planner, training, len(model.weight_stages), board, files, samples)
        plan = found[0].plan
        notes += [f"warning: {text}" for text in plan.learned.warnings]
        title = f"{model.name} trained by {training.method}"
        if plan.refusals:
            least = on_portable_kernels(planner, training, board, files, samples)
            flash = in_flash(planner, training, board, files, samples)
    chosen = recommend(found)
    write_json(args.json, {
        "model": str(args.model), **describe(plan),
        "choices": [describe_choice(choice) for choice in found],
        "recommended": {**describe_choice(chosen.choice), "reason": chosen.reason}
        if chosen else None})
    for text in notes:
        print(text)
    print(f"{title}, {board.backend} kernels\n")
    for table in (layers_table, ram_table, flash_table):
        print(*table(plan), "", sep="\n")
    status = _finish(plan, found, chosen, args.model)
    if flash and flash.fits:
        print(f"  {flash.training.command()} --weights-in flash fits, "
              f"{flash.plan.heap.free:,} bytes stay free: on the board "
              f'priot.load("{args.model.name}", flash=True)')
    if least and least.fits:
        print(f"  {least.training.command()} --backend portable fits, "
              f"{least.plan.heap.free:,} bytes stay free: on the board "
              'priot.backend.use("portable") before priot.load')
    return status


def _finish(plan: Plan, found: list[Choice], chosen: Recommendation | None, path: Path) -> int:
    """Print verdict and advice; returns the exit status."""
    if plan.network.flash_bytes:
        print(f"weights in flash: {plan.weights_reason}")
    if plan.training:
        print(f"layout {plan.learned.layout}: {plan.layout_reason}")
    if plan.refusals:
        sys.stdout.flush()
        print(f"priot: {path}: does not fit: {'; '.join(plan.refusals)}", file=sys.stderr)
    else:
        print(f"fits: {plan.heap.free:,} bytes of heap stay free")
    if found:
        print()
        print(*advice_table(plan, found, chosen), sep="\n")
    return 1 if plan.refusals else 0


def _adapter_plan(args: argparse.Namespace, model: Model, planner: Planner, board: Limits,
                  options: dict[str, Any]) -> tuple[str, Plan]:
    unused = [name for name in ("method", *options) if name != "layout"
              and getattr(args, name) is not None]
    if unused:
        raise PriotError(unused[0], "an adapter is applied, nothing is trained")
    if options.get("layout") == "auto":
        raise PriotError("layout", "found auto, expected kept or small to apply an adapter")
    adapter = Adapter.read(args.adapter)
    adapter.check_backbone(model, args.adapter)
    files = file_sizes(args.model, [*args.dataset, args.adapter])
    plan = plan_adapter(planner, args.adapter, options.get("layout", "kept"), board, files)
    return (f"{model.name} with {args.adapter.name} applied, {adapter.content} of "
            f"{adapter.method}", plan)


def _board(args: argparse.Namespace) -> tuple[Limits, list[str]]:
    """The board to plan for, and lines on what is not known of it, or not built here."""
    found, note = _asked(args)
    heap = found.heap_bytes if args.heap is None else args.heap
    blocks = found.flash_blocks if args.flash is None else args.flash // 4
    if heap < 65536 or blocks < 16:
        raise PriotError("board", f"found {heap} bytes of heap and {4 * blocks} kB of flash, "
                         "expected at least 65536 and 64")
    notes = [f"note: {note}"] if note and args.heap is None else []
    backend, lacks = (args.backend, "") if args.backend else default_backend(
        named(found.processor))
    return (limits_of(found.processor, heap, blocks, backend),
            [*notes, lacks] if lacks else notes)


def _asked(args: argparse.Namespace) -> tuple[KnownBoard, str]:
    """The board that is named, or the one that is connected, and what is not known of it."""
    if args.port is None:
        known = BOARDS[args.board or "pico"]
        return known, known.note
    if args.board:
        raise PriotError("--port", "asks a board what it is: give it or --board")
    with choose.board(args.port) as board:
        info = board.info
        return (KnownBoard(info.machine, info.heap_bytes, board.flash_bytes() // BLOCK_BYTES,
                           info.processor), info.note)
