"""A plan, and the ways to train that it was compared with, as `priot plan --json` writes them."""

from typing import Any

from priot.planning.advice import Choice
from priot.planning.board import Plan
from priot.planning.flash import BLOCK_BYTES
from priot.planning.heap import BOOT_BYTES


def describe(plan: Plan) -> dict[str, Any]:
    """A plan without the advice; all sizes in bytes."""
    learned, training = plan.learned, plan.training
    report: dict[str, Any] = {
        "fits": not plan.refusals, "refusals": plan.refusals, "backend": plan.board.backend,
        "layers": describe_stages(plan),
        "ram": {
            "heap_bytes": plan.heap.size, "boot_bytes": BOOT_BYTES,
            "package_bytes": plan.code.package,
            "kernels_bytes": plan.code.kernels + plan.code.late,
            "weight_bytes": plan.network.weight_bytes,
            "weights_in_flash_bytes": plan.network.flash_bytes,
            "learned_bytes": learned.learned_bytes, "work_bytes": learned.work_bytes,
            "idle_work_bytes": plan.network.work_bytes,
            "other_bytes": plan.other_bytes, "free_when_loaded_bytes": plan.loaded.free,
            "free_heap_bytes": plan.heap.free, "largest_block_bytes": plan.heap.largest,
            "missing_bytes": plan.missing,
        },
        "flash": {"used_bytes": BLOCK_BYTES * plan.flash.blocks,
                  "flash_bytes": BLOCK_BYTES * plan.board.flash_blocks},
    }
    if training:
        saved = {"scores": learned.saved, **({"mask": learned.mask} if learned.mask else {})}
        report |= {
            "method": training.method, "layout": learned.layout,
            "layout_reason": plan.layout_reason, "training_bytes": learned.ram_bytes,
            "saved_bytes": saved,
        }
    return report


def describe_choice(choice: Choice) -> dict[str, Any]:
    """A way to train; sizes in bytes."""
    learned = choice.plan.learned
    return {"command": choice.training.command(), "fits": choice.fits, "layout": learned.layout,
            "training_bytes": learned.ram_bytes, "free_heap_bytes": choice.plan.heap.free,
            "result_bytes": choice.result_bytes, "refusals": choice.plan.refusals}


def describe_stages(plan: Plan) -> list[dict[str, Any]]:
    """The rows of the table of layers, in bytes."""
    by_stage = {layer.stage: layer for layer in plan.learned.layers}
    rows = []
    for number, stage in enumerate(plan.network.stages):
        row = {"kind": stage["kind"], "text": stage["text"], "weights": stage["weights"],
               "activations": stage["outputs"], "argmax": stage["argmax"],
               "trained_edges": 0, "scores": 0, "selection": 0, "kernel": stage["kernels"]}
        layer = by_stage.get(number)
        if layer is not None:
            row |= {"trained_edges": layer.scored, "scores": layer.scores,
                    "selection": layer.select}
        rows.append(row)
    return rows
