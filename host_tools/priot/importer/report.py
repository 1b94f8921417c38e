"""What became of every node of a file, as text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage
from priot.importer.nodes import short
from priot.network.stage import IMAGE


@dataclass
class Fate:
    """What became of a node. op, name: as the file has them; shape: of its output, or ()."""

    op: str
    name: str
    shape: tuple[int, ...]
    text: str


@dataclass
class Report:
    """Fates in the file's order, warnings; parameters and MACs with the dead filters still in."""

    fates: list[Fate] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dead_filters: int = 0
    parameters_before: int = 0
    macs_before: int = 0

    def describe(self, graph: FloatGraph) -> str:
        """The report of an import, for people: layers, nodes, totals, warnings."""
        shapes = graph.shapes()
        rows = [("stage", "layer", "reads", "output", "weights", "MAC")]
        for i, (stage, shape) in enumerate(zip(graph.stages, shapes, strict=True)):
            weights = "" if stage.weights is None else f"{stage.weights.size:,}"
            macs = stage.macs(graph.shape_in(stage, shapes))
            reads = ", ".join("image" if n == IMAGE else str(n)
                              for n in (stage.a, stage.b) if n is not None)
            rows.append((str(i), layer_text(stage), reads, _area(shape), weights,
                         f"{macs:,}" if macs else ""))
        lines = [f"{graph.name}: input {_area(graph.shape)}, {graph.classes} outputs"
                 + (f", {graph.final} left out" if graph.final else ""), *_table(rows), ""]
        lines += [f"{short(fate.op)} {short(fate.name)!r}"
                  + (f" ({_area(fate.shape)})" if fate.shape else "") + f": {fate.text}"
                  for fate in self.fates]
        lines += ["", f"{graph.parameters:,} parameters, {graph.macs:,} MAC"]
        if self.dead_filters:
            lines.append(f"{self.dead_filters} filters that are zero removed, of "
                         f"{self.parameters_before:,} parameters and {self.macs_before:,} MAC")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def layer_text(stage: FloatStage) -> str:
    """ "conv2d 3x3 stride 2x2 groups 8, relu6, max 2x2" of a stage."""
    text = stage.kind
    if stage.kind == "conv2d":
        text += f" {_area(stage.kernel)}"
        if stage.stride != (1, 1):
            text += f" stride {_area(stage.stride)}"
        if any(stage.padding):
            same = len(set(stage.padding)) == 1
            text += f" pad {stage.padding[0] if same else ','.join(map(str, stage.padding))}"
        if stage.groups > 1:
            text += f" groups {stage.groups}"
    if stage.clamp is not None:
        text += f", relu{stage.clamp:g}"
    elif stage.relu:
        text += ", relu"
    if stage.window != (1, 1):
        name = ", max" if stage.kind == "conv2d" else ""
        text += f"{name} {_area(stage.window)}"
        if stage.kind != "global_pool":
            text += f" stride {_area(stage.window_stride)}"
    return text


def _area(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) if i in (0, 4, 5) else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in rows]
