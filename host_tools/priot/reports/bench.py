"""Reports of `priot bench` as text, and as the table of a Markdown document."""

from pathlib import Path
from typing import Any

from priot.errors import PriotError

# between these a document holds the table of `--into`
BEGIN, END = "<!-- priot bench -->", "<!-- end -->"


def kernels(report: dict[str, Any]) -> str:
    """Which kernels ran, and on how many cores if not on one."""
    return report["backend"] + (", 2 cores" if report["cores"] > 1 else "")


def text(report: dict[str, Any]) -> str:
    """A table of one report."""
    lines = [f"{kernels(report)} on {report['target']}, method {report['method']}: "
             f"{report['us_per_step'] / 1000:.2f} ms a step, "
             f"{report['us_forward'] / 1000:.2f} ms an inference, "
             f"{report['peak_heap_bytes']} bytes of heap in use"]
    if report["clock_hz"]:
        lines.append(f"  {report['cycles_per_step']:,} cycles a step, "
                     f"{report['cycles_forward']:,} an inference, "
                     f"at {report['clock_hz'] / 1e6:.0f} MHz")
    if report["flash_accesses_per_step"]:
        accesses, hits = report["flash_accesses_per_step"], report["flash_hits_per_step"]
        lines.append(f"  the cache of the flash answers {100 * hits / accesses:.2f} % of "
                     f"{accesses:,} reads a step")
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
        name = kernels(report)
        if report["layout"] == "small":
            name += ", layout small"
        step, forward = (report[key] / 1000 for key in ("us_per_step", "us_forward"))
        lines.append(f"| {name} | {step:,.1f} | {forward:,.1f} | "
                     f"{report['peak_heap_bytes']:,} |")
    return "\n".join(lines) + "\n"


def around_table(path: Path) -> tuple[str, str]:
    """What a document holds before and after its table, marks included. Raises PriotError."""
    before, mark, rest = path.read_text().partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not mark or not end_mark:
        raise PriotError(path, f"has no {BEGIN} and {END}")
    return before + mark + "\n", end_mark + after
