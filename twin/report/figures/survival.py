"""How many mice are not yet trained under each design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import GREY, SERIES_COLOURS, new_figure

LINES = ("-", (0, (5, 1.5)), (0, (1, 1)))  # designs beyond the number of colours take the next style


@figure(section="Designs")
def survival(shown: Shown) -> Figure | None:
    """Survival curves, where designs were compared."""
    compared = shown.results.get("recommended", shown.results)
    return draw_survival(compared["designs"], compared["until"]) if "designs" in compared else None


def draw_survival(designs: Mapping[str, Mapping[str, Any]], status: str) -> Figure:
    """Fraction of mice not yet at a status after each session, one line per design with its 95 % band.

    `designs`: name -> {survival (H + 1,), survival_ci95 (2, H + 1), fraction_trained, median_sessions}, as `compare_designs`
    gives them. A cross marks the mice that had not reached the status when training ended.
    """
    status = status.replace("_", " ")
    words = (
        f"Fraction of mice not yet {status} after each session; bands are 95 % intervals, crosses mice untrained at the end."
    )
    canvas = new_figure(8.5, 4.2, words)
    ax = canvas.subplots()
    for i, (name, design) in enumerate(designs.items()):
        _draw_design(ax, name, design, {"color": SERIES_COLOURS[i % len(SERIES_COLOURS)], "ls": _line(i)})
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    horizon = max(len(design["survival"]) for design in designs.values()) - 1
    ax.set(xlabel="session", ylabel=f"fraction of mice not yet {status}", ylim=(0, 1.02), xlim=(0, horizon))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), labelspacing=1.1)
    return canvas


def _draw_design(ax: Axes, name: str, design: Mapping[str, Any], look: Mapping[str, Any]) -> None:
    curve = np.asarray(design["survival"])
    low, high = design["survival_ci95"]
    session, median = np.arange(len(curve)), design["median_sessions"]
    half = f"half by session {median:.0f}" if median is not None else "never half"
    label = f"{name}\n{100 * design['fraction_trained']:.0f} % trained, {half}"
    ax.fill_between(session, low, high, step="post", color=look["color"], alpha=0.13, lw=0)
    ax.step(session, curve, where="post", label=label, **look)
    if curve[-1] > 0:
        ax.plot(session[-1], curve[-1], "x", color=look["color"], ms=7, clip_on=False)


def _line(i: int) -> Any:
    return LINES[i // len(SERIES_COLOURS) % len(LINES)]
