"""What a rule remembers: the update by the same trials after rewarded and after unrewarded histories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREY, VERMILLION, new_figure

KINDS = {"rewarded": (BLUE, "o", 8), "unrewarded": (VERMILLION, "s", 4)}  # histories: colour, marker and its size: both show


@figure(section="Memory of past trials")
def history(shown: Shown) -> Figure | None:
    """Updates after either kind of history, where the true rule tells them apart."""
    models = shown.results.get("models", {})
    gaps = {name: model["history_gap"] for name, model in models.items() if model.get("history_gap", {}).get("true")}
    return draw_history_updates(gaps) if gaps else None


def draw_history_updates(gaps: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Update of the stimulus weight by rewarded trials over their stimulus, after either kind of history; a panel per model.

    `gaps`: name -> {stimulus, updates, recovered}, as `history_gap` gives them. True updates are solid, inferred ones dashed.
    """
    words = "Change of the stimulus weight by the same rewarded trials after rewarded and after unrewarded histories."
    canvas = new_figure(1.5 + 3.4 * len(gaps), 4.0, words)
    axes = canvas.subplots(1, len(gaps), sharey=True, squeeze=False)[0]
    for ax, (name, gap) in zip(axes, gaps.items(), strict=True):
        _draw_updates(ax, gap)
        ax.set_title(f"{name}: {100 * gap['recovered']:.0f} % of the true gap")
        ax.set_xlabel("stimulus feature (right > 0)")
    axes[0].set_ylabel("change of stimulus weight\n(logit per unit, per trial)")
    handles = [Line2D([], [], color=c, marker=m, ms=s, mfc="white", label=f"after {kind}") for kind, (c, m, s) in KINDS.items()]
    handles += [Line2D([], [], color=BLACK, ls=line, label=label) for label, line in (("true", "-"), ("inferred", "--"))]
    canvas.legend(handles=handles, loc="outside upper center", ncols=4)
    return canvas


def _draw_updates(ax: Axes, gap: Mapping[str, Any]) -> None:
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
    for kind, (colour, marker, size) in KINDS.items():
        ax.plot(gap["stimulus"], gap["updates"]["true"][kind], color=colour, label=f"true, {kind}")
        look: Any = {"color": colour, "ls": "--", "marker": marker, "ms": size, "mfc": "white"}
        ax.plot(gap["stimulus"], gap["updates"]["estimate"][kind], label=f"inferred, {kind}", **look)
    ax.locator_params(nbins=5)
