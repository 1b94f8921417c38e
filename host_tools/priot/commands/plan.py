"""`priot plan MODEL`: flash and RAM that a model and a method need of a board, before copying."""

import argparse
import sys
from pathlib import Path
from typing import Any

from priot.commands.train import add_training_options, options_from
from priot.errors import PriotError
from priot.formats import Adapter, Model
from priot.jobs.options import check_options
from priot.paths import native_module
from priot.planning.advice import (
    Choice,
    Recommendation,
    choices,
    on_portable_kernels,
    recommend,
)
from priot.planning.board import (
    Limits,
    Plan,
    file_sizes,
    most_samples,
    other_bytes,
    plan_adapter,
    plan_training,
)
from priot.planning.flash import BLOCK_BYTES, PICO_BLOCKS
from priot.planning.heap import BOOT_BYTES, HEAP_BYTES
from priot.planning.memory import Training
from priot.planning.text import (
    describe_stage,
    print_advice,
    print_flash,
    print_layers,
    print_ram,
)
from priot.reports.json_file import add_json_option, write_json
from priot.targets import BACKENDS


def describe(plan: Plan) -> dict[str, Any]:
    """What `priot plan --json` writes of a plan, without the advice; all sizes in bytes."""
    trained = plan.trained
    report: dict[str, Any] = {
        "fits": not plan.refusals, "refusals": plan.refusals, "backend": plan.board.backend,
        "layers": [describe_stage(s, plan) for s in plan.stages],
        "ram": {
            "heap_bytes": plan.heap.size, "boot_bytes": BOOT_BYTES,
            "package_bytes": plan.code.package,
            "kernels_bytes": plan.code.kernels + plan.code.late,
            "network_arena_bytes": plan.network.arena,
            "training_arena_bytes": trained.arena if trained else 0,
            "adapter_arena_bytes": plan.adapter,
            "scratch_bytes": plan.scratch,
            "other_bytes": other_bytes(plan), "free_when_loaded_bytes": plan.loaded.free,
            "free_heap_bytes": plan.heap.free, "largest_block_bytes": plan.heap.largest,
            "missing_bytes": plan.missing,
        },
        "flash": {"used_bytes": BLOCK_BYTES * plan.flash.blocks,
                  "flash_bytes": BLOCK_BYTES * plan.board.flash_blocks},
    }
    if trained:
        report |= {
            "method": trained.training.method, "layout": trained.layout,
            "layout_reason": plan.layout_reason, "training_bytes": trained.ram_bytes,
            "gradient_bytes": sum(trained.gradients), "row_buffer_bytes": trained.row_buffer,
            "saved_bytes": plan.saved,
        }
    return report


def describe_choice(choice: Choice) -> dict[str, Any]:
    """What it writes of a way to train."""
    trained = choice.plan.trained
    assert trained is not None
    return {"command": choice.training.command(), "fits": choice.fits, "layout": trained.layout,
            "training_bytes": trained.ram_bytes, "free_heap_bytes": choice.plan.heap.free,
            "result_bytes": choice.result_bytes, "refusals": choice.plan.refusals}


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
    parser.add_argument("--heap", type=int, default=HEAP_BYTES, metavar="BYTES",
                        help=f"heap of the board (default {HEAP_BYTES}, a Pico)")
    parser.add_argument("--flash", type=int, default=4 * PICO_BLOCKS, metavar="KB",
                        help=f"flash for files (default {4 * PICO_BLOCKS}, a Pico)")
    add_training_options(parser)
    parser.set_defaults(method=None)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot plan`: status 1 where it does not fit."""
    model = Model.read(args.model)
    samples = most_samples(args.dataset, model)
    board, note = _board(args)
    options = options_from(args)
    found: list[Choice] = []
    least: Choice | None = None
    notes = [note] if note else []
    if args.adapter:
        title, plan = _adapter_plan(args, model, board, options)
    else:
        training = Training.from_options(args.method or "priot", options)
        notes += [f"warning: {text}" for text in check_options(
            training.method, len(model.weight_layers), options)]
        files = file_sizes(args.model, args.dataset)
        plan = plan_training(model, training, board, files, samples)
        title = f"{model.name} trained by {training.method}"
        found = choices(model, training, board, files, samples)
        if plan.refusals:
            least = on_portable_kernels(model, training, board, files, samples)
    chosen = recommend(found)
    write_json(args.json, {
        "model": str(args.model), **describe(plan),
        "choices": [describe_choice(choice) for choice in found],
        "recommended": {**describe_choice(chosen.choice), "reason": chosen.reason}
        if chosen else None})
    for text in notes:
        print(text)
    print(f"{title}, {board.backend} kernels\n")
    for table in (print_layers, print_ram, print_flash):
        table(plan)
        print()
    status = _finish(plan, found, chosen, args.model)
    if least and least.fits:
        print(f"  {least.training.command()} --backend portable fits, "
              f"{least.plan.heap.free:,} bytes stay free: on the board "
              'priot.backend.use("portable") before priot.load')
    return status


def _finish(plan: Plan, found: list[Choice], chosen: Recommendation | None, path: Path) -> int:
    """Print verdict and advice; returns the exit status."""
    if plan.trained:
        print(f"layout {plan.trained.layout}: {plan.layout_reason}")
    if plan.refusals:
        sys.stdout.flush()
        print(f"priot: {path}: does not fit: {'; '.join(plan.refusals)}", file=sys.stderr)
    else:
        print(f"fits: {plan.heap.free:,} bytes of heap stay free")
    if found:
        print()
        print_advice(plan, found, chosen)
    return 1 if plan.refusals else 0


def _adapter_plan(args: argparse.Namespace, model: Model, board: Limits,
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
    plan = plan_adapter(model, adapter, options.get("layout", "kept"), board, files)
    return (f"{model.name} with {args.adapter.name} applied, {adapter.content} of "
            f"{adapter.method}", plan)


def _board(args: argparse.Namespace) -> tuple[Limits, str]:
    """The board to plan for, and a line where the default backend is not what it would be."""
    if args.heap < 65536 or args.flash < 64:
        raise PriotError("board", f"found {args.heap} bytes of heap and {args.flash} kB of flash, "
                         "expected at least 65536 and 64")
    backend, note = args.backend or "native", ""
    if args.backend is None:
        try:
            native_module("armv6m", "priot_native")
        except PriotError as error:
            backend, note = "viper", f"note: {error}; planned with viper kernels"
    return Limits(args.heap, args.flash // 4, backend), note
