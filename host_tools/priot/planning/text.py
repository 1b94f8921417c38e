"""The tables of `priot plan` and `priot deploy`, a line each: layers, RAM, flash, advice."""

from collections.abc import Sequence

from priot.planning.advice import Choice, Recommendation, weights_that_fit
from priot.planning.board import Plan
from priot.planning.flash import Flash
from priot.planning.heap import BOOT_BYTES, WORKING_BYTES
from priot.planning.report import describe_stages


def layers_table(plan: Plan) -> list[str]:
    """Bytes of each layer, and the kernels that run it."""
    columns = {"weights": "weights", "activations": "activations", "argmax": "argmax"}
    if plan.training:
        columns |= {"trained_edges": "trained", "scores": "scores", "selection": "selection"}
    rows = describe_stages(plan)
    sums = {name: sum(row[name] for row in rows) for name in columns}
    widths = {name: max(len(title), len(f"{sums[name]:,}")) for name, title in columns.items()}
    first = max(len(row["text"]) for row in rows)
    titles = [f"{title:>{widths[name]}}" for name, title in columns.items()]
    lines = [f"{'layer':{first}}  {'  '.join(titles)}  kernels"]
    for row in rows:
        cells = [f"{row[name]:>{widths[name]},}" if row[name] else f"{'-':>{widths[name]}}"
                 for name in columns]
        lines.append(f"{row['text']:{first}}  {'  '.join(cells)}  {row['kernel']}")
    cells = [f"{sums[name]:>{widths[name]},}" for name in columns]
    return [*lines, f"{'together':{first}}  {'  '.join(cells)}"]


def ram_table(plan: Plan) -> list[str]:
    """What lies in the heap, and what is left of it."""
    learned, network, code = plan.learned, plan.network, plan.code
    what = "effective weights" if plan.training is None else _training_note(plan)
    if plan.missing:
        last = ("missing", plan.missing, _missing_note(plan))
    else:
        last = ("left", plan.heap.free, f"of {plan.heap.size:,}, about "
                f"{plan.heap.largest:,} in one piece")
    return ram_lines(BOOT_BYTES, code.package, code.kernels + code.late, network.weight_bytes, [
        ("learned", learned.learned_bytes, what),
        ("work", learned.work_bytes, "activations, gradients, scratch, sharing places; "
         f"{network.work_bytes:,} when just loaded")], plan.other_bytes, last,
        weights_note(network.flash_bytes))


def weights_note(flash_bytes: int) -> str:
    """What the block of weights holds, where so many bytes of others stay in flash."""
    return f"and biases; {flash_bytes:,} more stay in flash" if flash_bytes else "of the backbone"


def ram_lines(boot: int, package: int, kernels: int, weights: int,
              blocks: Sequence[tuple[str, int, str]], objects: int,
              last: tuple[str, int, str], weights_note: str = "of the backbone") -> list[str]:
    """What lies in a heap, in bytes, planned or measured; what is 0 has no line."""
    rows = [
        ("MicroPython", boot, "when its prompt appears"),
        ("code", package + kernels, f"package {package:,}, kernels {kernels:,}"),
        ("weights", weights, weights_note),
        *blocks,
        ("objects", objects, "layers, calls, open files, the order of samples"),
        last,
    ]
    return [f"{'RAM':16}{'bytes':>10}",
            *(f"{name:16}{size:>10,}  {note}" for name, size, note in rows if size)]


def _missing_note(plan: Plan) -> str:
    free = plan.heap.free
    if free <= 0:
        return f"of {plan.heap.size:,}"
    why = ("in pieces that are too small" if plan.heap.largest < 0
           else f"while {WORKING_BYTES:,} must be, to work with")
    return f"of {plan.heap.size:,}: {free:,} would be free, {why}"


def _training_note(plan: Plan) -> str:
    layers = plan.learned.layers
    scores, select = (sum(getattr(a, name) for a in layers) for name in ("scores", "select"))
    parts = {"scores": scores, "selection": select,
             "effective weights": plan.learned.learned_bytes - scores - select}
    return ", ".join(f"{name} {size:,}" for name, size in parts.items() if size > 0)


def flash_table(plan: Plan) -> list[str]:
    """What lies in the flash, and what is left of it."""
    return flash_lines(plan.flash, plan.board.flash_blocks)


def flash_lines(flash: Flash, blocks: int, others: int = 0) -> list[str]:
    """The table for a flash of so many blocks; others: those of files that are not in `flash`."""
    groups: dict[str, int] = {}
    for path, n in flash.files.items():
        name = ("package" if path.startswith("/lib/") else
                "scores, twice while they are replaced" if path.startswith("/saved.") else
                path[1:])
        groups[name] = groups.get(name, 0) + n
    groups["folders"] = flash.folders
    if others:
        groups["other files"] = others
    left = blocks - flash.blocks - others
    lines = [f"{'flash':16}{'kB':>10}"]
    for name, n in groups.items():
        lines.append(f"{name if len(name) <= 16 else '':16}{4 * n:>10,}"
                     + ("" if len(name) <= 16 else f"  {name}"))
    return [*lines, f"{'left' if left >= 0 else 'missing':16}{4 * abs(left):>10,}"
            f"  of {4 * blocks:,}"]


def advice_table(plan: Plan, found: list[Choice],
                 chosen: Recommendation | None) -> list[str]:
    """Other ways to train, each with its bytes, and which to take."""
    lines = [f"{'':2}{'training RAM':>12}{'heap left':>12}{'result file':>12}  method"]
    for choice in found:
        mark = "*" if chosen and choice is chosen.choice else " "
        left = f"{choice.plan.heap.free:,}" if choice.fits else "-"
        lacks = f"{choice.plan.missing:,}" if choice.plan.missing else "flash"
        note = "" if choice.fits else f"  lacks {lacks}"
        lines.append(f"{mark:2}{choice.plan.learned.ram_bytes:>12,}{left:>12}"
                     f"{choice.result_bytes:>12,}  {choice.training.command()}{note}")
    if plan.missing:
        fitting = weights_that_fit(plan)
        lines.append(f"  or a smaller network: about {fitting:,} weights instead of "
                     f"{plan.network.n_weights:,}" if fitting else
                     "  no network of this shape fits")
    if chosen:
        lines += [f"* recommended: {chosen.reason}", *(f"  {text}" for text in chosen.also),
                  "  device/METHODS.md has the measured accuracy of every method"]
    return lines
