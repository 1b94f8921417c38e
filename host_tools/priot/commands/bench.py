"""`priot bench`: time per training step and per inference, kernel by kernel, for each backend."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import (
    add_json_option,
    add_target_options,
    add_training_options,
    choose_target,
    options_from,
)
from priot.errors import PriotError
from priot.formats.container import write_file
from priot.jobs.bench import STEPS, bench, digits_like_mnist
from priot.jobs.protocol import NATIVE_BACKENDS
from priot.paths import BACKBONES, BUILD
from priot.reports.bench import BEGIN, END, around_table, markdown, text
from priot.reports.json_file import write_json


def add_parser(subparsers: Any) -> None:
    """Add `priot bench`."""
    parser = subparsers.add_parser("bench", help="measure time and memory per training step",
                                   description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=BACKBONES / "mnist-a-0.priot",
                        help="model file (default: network A)")
    parser.add_argument("dataset", type=Path, nargs="?", help="samples (default: rotated digits)")
    parser.add_argument("--backends", default="native,portable,viper")
    parser.add_argument("--into", type=Path, metavar="DOCUMENT",
                        help=f"put a table between {BEGIN} and {END} of a Markdown file")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=2,
                        help="compute on one core, or on both of a board that has two (default)")
    parser.add_argument("--steps", type=int, help="steps to average (default: by backend)")
    add_training_options(parser)
    add_target_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot bench`."""
    if args.steps is not None and args.steps < 1:
        raise PriotError("--steps", f"found {args.steps}, expected at least 1")
    before, after = around_table(args.into) if args.into else ("", "")
    dataset = args.dataset or digits_like_mnist(BUILD / "bench.prd", print)
    backends = [args.backend] if args.backend else args.backends.split(",")
    reports = []
    with choose_target(args) as target:
        for backend in backends:
            if backend not in STEPS:
                raise PriotError("backends", f"{backend} is none of {', '.join(STEPS)}")
            options = options_from(args)

            def run(backend: str, options: dict[str, Any], cores: int = args.cores) -> None:
                reports.append(bench(args.model, dataset, target, backend,
                                     args.steps or STEPS[backend], args.method, options, cores))
                print(text(reports[-1]), flush=True)

            run(backend, options)
            if args.into and reports[-1]["cores"] > 1:
                run(backend, options, 1)
            if args.into and backend in NATIVE_BACKENDS and not args.layout:
                run(backend, {**options, "layout": "small"})
    if args.into:
        write_file(args.into, (before + markdown(reports) + after).encode())
    first = reports[0]
    write_json(args.json, {**first, "backends": reports})
    return 0
