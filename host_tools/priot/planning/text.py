"""The tables of `priot plan`: layers, RAM, flash, and what else there is to choose."""

from typing import Any

from priot.commands.inspect import shape_text
from priot.network import fields as f
from priot.planning.advice import Choice, Recommendation, weights_that_fit
from priot.planning.board import Plan, other_bytes
from priot.planning.heap import BOOT_BYTES, WORKING_BYTES
from priot.planning.memory import StageBytes
from priot.planning.scratch import kernel_name


def describe_stage(s: StageBytes, plan: Plan) -> dict[str, Any]:
    """A row of the table of layers, in bytes."""
    kernel = kernel_name(s.stage, plan.board.backend)
    return {
        "kind": f.KIND_NAMES[s.stage.kind], "output": list(s.stage.shape_out),
        "weights": s.weights, "activations": s.activations, "argmax": s.argmax,
        "trained_edges": s.scored, "scores": s.scores, "selection": s.select,
        "effective_weights": s.effective, "kernel": kernel,
    }


def print_layers(plan: Plan) -> None:
    """Bytes of each layer, and the kernels that run it."""
    columns = {"weights": "weights", "activations": "activations", "argmax": "argmax"}
    if plan.trained:
        columns |= {"trained_edges": "trained", "scores": "scores", "selection": "selection",
                    "effective_weights": "effective"}
    rows = [describe_stage(s, plan) for s in plan.stages]
    sums = {name: sum(row[name] for row in rows) for name in columns}
    widths = {name: max(len(title), len(f"{sums[name]:,}")) for name, title in columns.items()}
    titles = [f"{title:>{widths[name]}}" for name, title in columns.items()]
    print(f"{'layer':11}{'output':>9}  {'  '.join(titles)}  kernels")
    for row in rows:
        cells = [f"{row[name]:>{widths[name]},}" if row[name] else f"{'-':>{widths[name]}}"
                 for name in columns]
        print(f"{row['kind']:11}{shape_text(tuple(row['output'])):>9}  {'  '.join(cells)}  "
              f"{row['kernel']}")
    cells = [f"{sums[name]:>{widths[name]},}" for name in columns]
    print(f"{'together':20}  {'  '.join(cells)}")


def print_ram(plan: Plan) -> None:
    """What lies in the heap, and what is left of it."""
    trained, network, code = plan.trained, plan.network, plan.code
    lines = [
        ("MicroPython", BOOT_BYTES, "when its prompt appears"),
        ("code", code.heap, f"package {code.package:,}"
         f", kernels {code.kernels + code.late:,}"),
        ("network", network.arena, f"the arena above and the input, {network.input:,}"),
    ]
    if trained:
        lines.append(("training", trained.arena, _training_note(plan)))
    if plan.adapter:
        lines.append(("adapter", plan.adapter, "scores and effective weights"))
    lines += [
        ("scratch", plan.scratch, "shared by all layers"),
        ("objects", other_bytes(plan), "layers, calls, open files, the order of samples"),
    ]
    if plan.missing:
        lines.append(("missing", plan.missing, _missing_note(plan)))
    else:
        lines.append(("left", plan.heap.free, f"of {plan.heap.size:,}, about "
                      f"{plan.heap.largest:,} in one piece"))
    print(f"{'RAM':16}{'bytes':>10}")
    for name, size, note in lines:
        print(f"{name:16}{size:>10,}  {note}")


def _missing_note(plan: Plan) -> str:
    free = plan.heap.free
    if free <= 0:
        return f"of {plan.heap.size:,}"
    why = ("in pieces that are too small" if plan.heap.largest < 0
           else f"while {WORKING_BYTES:,} must be, to work with")
    return f"of {plan.heap.size:,}: {free:,} would be free, {why}"


def _training_note(plan: Plan) -> str:
    assert plan.trained is not None
    t = plan.trained
    parts = {
        "scores": sum(s.scores for s in t.stages), "selection": sum(s.select for s in t.stages),
        "effective weights": sum(s.effective for s in t.stages), "row buffer": t.row_buffer,
        "gradients": sum(t.gradients),
    }
    return ", ".join(f"{name} {size:,}" for name, size in parts.items() if size)


def print_flash(plan: Plan) -> None:
    """What lies in the flash, and what is left of it."""
    groups: dict[str, int] = {}
    for path, n in plan.flash.files.items():
        name = ("package" if path.startswith("/lib/") else
                "scores, twice while they are replaced" if path.startswith("/saved.") else
                path[1:])
        groups[name] = groups.get(name, 0) + n
    groups["folders"] = plan.flash.folders
    left = plan.board.flash_blocks - plan.flash.blocks
    print(f"{'flash':16}{'kB':>10}")
    for name, n in groups.items():
        print(f"{name if len(name) <= 16 else '':16}{4 * n:>10,}"
              + ("" if len(name) <= 16 else f"  {name}"))
    print(f"{'left' if left >= 0 else 'missing':16}{4 * abs(left):>10,}"
          f"  of {4 * plan.board.flash_blocks:,}")


def print_advice(plan: Plan, found: list[Choice], chosen: Recommendation | None) -> None:
    """Other ways to train, each with its bytes, and which to take."""
    print(f"{'':2}{'training RAM':>12}{'heap left':>12}{'result file':>12}  method")
    for choice in found:
        assert choice.plan.trained is not None
        mark = "*" if chosen and choice is chosen.choice else " "
        left = f"{choice.plan.heap.free:,}" if choice.fits else "-"
        lacks = f"{choice.plan.missing:,}" if choice.plan.missing else "flash"
        note = "" if choice.fits else f"  lacks {lacks}"
        print(f"{mark:2}{choice.plan.trained.ram_bytes:>12,}{left:>12}"
              f"{choice.result_bytes:>12,}  {choice.training.command()}{note}")
    if plan.missing:
        fitting = weights_that_fit(plan)
        print(f"  or a smaller network: about {fitting:,} weights instead of "
              f"{sum(s.weights for s in plan.stages):,}" if fitting else
              "  no network of this shape fits")
    if chosen:
        print(f"* recommended: {chosen.reason}")
        for text in chosen.also:
            print(f"  {text}")
        print("  device/METHODS.md has the measured accuracy of every method")
