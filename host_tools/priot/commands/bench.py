"""`priot bench`: time per training step and per inference, kernel by kernel, for each backend."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from priot.commands.train import add_training_options, options_from
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.formats.container import write_file
from priot.paths import BACKBONES, BUILD
from priot.reports.json_file import add_json_option, write_json
from priot.targets import NATIVE_BACKENDS, Target
from priot.targets.choose import add_target_options, choose_target
from priot.targets.unix import absolute

# A board takes seconds for a step of a slow backend.
STEPS = {"native": 24, "portable": 8, "viper": 2, "plain": 1}
# between these a document holds the table of `--into`
BEGIN, END = "<!-- priot bench -->", "<!-- end -->"


def bench(model: Path, dataset: Path, target: Target, backend: str, steps: int,
          method: str = "priot", options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Measure one backend on a target; cycles where the target knows its clock.

    The figures are means over steps that ran their backward pass. Raises PriotError.
    """
    Dataset.read(dataset).check_fits(Model.read(model), dataset)
    job = {"action": "bench", "model": absolute(model), "train": absolute(dataset),
           "backend": backend, "method": method, "options": options or {}, "steps": steps}
    events = {event["event"]: event for event in target.run(job)}
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    if not events["bench"]["steps"]:
        raise PriotError(dataset, f"no backward pass ran in {events['bench']['samples']} samples")
    return _report(events["bench"], target, method)


def _report(event: dict[str, Any], target: Target, method: str) -> dict[str, Any]:
    hz = event["clock_hz"]

    def cycles(us: int) -> int | None:
        return us * hz // 1_000_000 if hz else None

    layers: list[dict[str, Any]] = [
        {"stage": text, "kernel": kernel, "cycles": {}, "us": {}}
        for text, kernel in zip(event["stages"], event["kernels"], strict=True)]
    for stage, what, us in event["calls"]:
        layers[stage]["us"][what] = us
        layers[stage]["cycles"][what] = cycles(us)
    return {
        "target": target.name, "backend": event["backend"], "method": method,
        "clock_hz": hz, "steps": event["steps"],
        "cycles_per_step": cycles(event["us_step"]), "us_per_step": event["us_step"],
        "cycles_forward": cycles(event["us_forward"]), "us_forward": event["us_forward"],
        "cycles_skipped_step": cycles(event["us_skipped_step"]),
        "cycles_read": cycles(event["us_read"]), "cycles_loss": cycles(event["us_loss"]),
        "us_read": event["us_read"], "us_loss": event["us_loss"],
        "layers": layers, "layout": event["layout"], "heap_bytes": event["heap_bytes"],
        "free_heap_at_rest_bytes": event["free_heap_at_rest_bytes"],
        "peak_heap_bytes": event["peak_heap_bytes"], "free_heap_bytes": event["free_heap_bytes"],
    }


def text(report: dict[str, Any]) -> str:
    """A table of one report."""
    lines = [f"{report['backend']} on {report['target']}, method {report['method']}: "
             f"{report['us_per_step'] / 1000:.2f} ms a step, "
             f"{report['us_forward'] / 1000:.2f} ms an inference, "
             f"{report['peak_heap_bytes']} bytes of heap in use"]
    if report["clock_hz"]:
        lines.append(f"  {report['cycles_per_step']:,} cycles a step, "
                     f"{report['cycles_forward']:,} an inference, "
                     f"at {report['clock_hz'] / 1e6:.0f} MHz")
    lines.append(f"  reading a sample {report['us_read']} us, loss {report['us_loss']} us")
    for layer in report["layers"]:
        parts = ", ".join(f"{what} {us} us" for what, us in layer["us"].items())
        lines.append(f"  {layer['stage']} [{layer['kernel']}]: {parts}")
    return "\n".join(lines)


def markdown(reports: list[dict[str, Any]]) -> str:
    """A Markdown table of several reports, one line each."""
    lines = ["| kernels | ms a training step | ms an inference | bytes of heap in use |",
             "|---|---|---|---|"]
    for report in reports:
        kernels = report["backend"]
        if report["layout"] == "small":
            kernels += ", layout small"
        step, forward = (report[key] / 1000 for key in ("us_per_step", "us_forward"))
        lines.append(f"| {kernels} | {step:,.1f} | {forward:,.1f} | "
                     f"{report['peak_heap_bytes']:,} |")
    return "\n".join(lines) + "\n"


def around_table(path: Path) -> tuple[str, str]:
    """What a document holds before and after its table, marks included. Raises PriotError."""
    before, mark, rest = path.read_text().partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not mark or not end_mark:
        raise PriotError(path, f"has no {BEGIN} and {END}")
    return before + mark + "\n", end_mark + after


def add_parser(subparsers: Any) -> None:
    """Add `priot bench`."""
    parser = subparsers.add_parser("bench", help="measure time and memory per training step",
                                   description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=BACKBONES / "mnist-a-0.priot",
                        help="model file (default: network A)")
    parser.add_argument("dataset", type=Path, nargs="?", help="samples (default: rotated digits)")
    parser.add_argument("--backends", default="native,portable,viper,plain")
    parser.add_argument("--into", type=Path, metavar="DOCUMENT",
                        help=f"put a table between {BEGIN} and {END} of a Markdown file")
    parser.add_argument("--steps", type=int, help="steps to average (default: by backend)")
    add_training_options(parser)
    add_target_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot bench`."""
    if args.steps is not None and args.steps < 1:
        raise PriotError("--steps", f"found {args.steps}, expected at least 1")
    before, after = around_table(args.into) if args.into else ("", "")
    dataset = args.dataset or digits_like_mnist(BUILD / "bench.prd")
    backends = [args.backend] if args.backend else args.backends.split(",")
    reports = []
    with choose_target(args) as target:
        for backend in backends:
            if backend not in STEPS:
                raise PriotError("backends", f"{backend} is none of {', '.join(STEPS)}")
            options = options_from(args)
            both = args.into and backend in NATIVE_BACKENDS and not args.layout
            for layout in ({}, {"layout": "small"}) if both else ({},):
                reports.append(bench(args.model, dataset, target, backend,
                                     args.steps or STEPS[backend], args.method,
                                     {**options, **layout}))
                print(text(reports[-1]), flush=True)
    if args.into:
        write_file(args.into, (before + markdown(reports) + after).encode())
    first = reports[0]
    write_json(args.json, {**first, "backends": reports})
    return 0


def digits_like_mnist(path: Path) -> Path:
    """Rotated digits that everyone has, as MNIST shows them: 20 x 20 pixels in a black border."""
    from priot import cli

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        inner = path.with_name(f"{path.stem}-20x20.prd")
        if cli.main(["dataset", "digits", "--part", "train", "--resize", "20x20", "--rotate", "30",
                     "--subset", "64", "-o", str(inner)]):
            raise PriotError(str(inner), "could not be made")
        small = Dataset.read(inner)
        images = np.pad(small.images, ((0, 0), (0, 0), (4, 4), (4, 4)))
        Dataset(images, small.labels, small.classes).write(path)
    return path
