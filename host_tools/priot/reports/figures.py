"""Plots as SVG that stands in a page: they take its font, and its colours of day and night."""

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from cycler import cycler
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that matplotlib writes, and the page's variable that takes their place.
INK, MUTED, RULE, ACCENT, PALE = "#000001", "#000002", "#000003", "#000004", "#000005"
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", ACCENT: "--accent",
              PALE: "--pale"}
_FONT = "DejaVu Sans"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": _FONT, "font.size": 9.0,
    "text.color": INK, "axes.edgecolor": RULE, "axes.labelcolor": MUTED, "axes.grid": True,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "axes.labelsize": 9.0, "grid.color": RULE, "grid.linewidth": 0.6, "xtick.color": RULE,
    "ytick.color": RULE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED,
    "axes.prop_cycle": cycler(linestyle=("-", "--", ":")) * cycler(
        color=(ACCENT, INK, PALE, MUTED)),
    "legend.frameon": False, "legend.fontsize": 8.5, "lines.linewidth": 1.6,
}


class Plot:
    """One set of axes; `svg` gives what was drawn. Used as a context, which sets the style."""

    def __init__(self, name: str, size: tuple[float, float] = (3.9, 2.7)) -> None:
        self.name = name
        self.size = size

    def __enter__(self) -> "Plot":
        self._context = rc_context({**_STYLE, "svg.hashsalt": self.name})
        self._context.__enter__()
        self.figure = Figure(figsize=self.size, layout="constrained")
        self.axes: Axes = self.figure.add_subplot()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def svg(self, alt: str) -> Markup:
        """The plot for a page; alt: what it shows, for those who do not see it."""
        text = io.StringIO()
        with warnings.catch_warnings():  # of letters that its font lacks, but the page's may have
            warnings.simplefilter("ignore", UserWarning)
            self.figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        return Markup(_for_page(text.getvalue(), alt))


def _for_page(svg: str, alt: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.S)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(rf"'{_FONT}'(, [^;\"]*)?", "var(--sans)", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    return re.sub(r"<svg[^>]*>", f'<svg {box[0]} role="img" aria-label="{escape(alt)}">', svg,
                  count=1)


def legend(axes: Axes, columns: int = 2) -> None:
    """The legend above the axes, where no curve is."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderpad=0,
                handlelength=1.6, columnspacing=1.4)


def lines_of(axes: Axes, epochs: Sequence[int], curves: Sequence[tuple[str, list[float]]]) -> None:
    """Curves in one colour, told apart by depth and dashes."""
    dashes = ("-", "--", ":", "-.")
    for i, (label, values) in enumerate(curves):
        axes.plot(epochs, values, color=ACCENT, label=label, ls=dashes[i % 4],
                  alpha=1 - 0.6 * i / max(1, len(curves) - 1),
                  marker="o" if len(epochs) == 1 else None)
