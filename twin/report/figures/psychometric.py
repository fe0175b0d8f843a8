"""Psychometric curves, of the first and of the last sessions of each mouse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.evaluation.performance import FIRST_LAST
from twin.evaluation.psychometric.curve import psychometric as psychometric_curve
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLUE, GREY, VERMILLION, new_figure
from twin.report.tables import curve_phrases


@figure(section="Behaviour")
def psychometric(shown: Shown) -> Figure | None:
    """P(right) against signed contrast, if behaviour was described."""
    curves = shown.results.get("psychometric_curves")
    return None if curves is None else draw_curves(curves)


def draw_curves(curves: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Fractions of right choices of the first and the last sessions, and the curves fitted to them.

    `curves`: "first" and "last" -> {levels, choices, p, ci95, fit, reason}, as `behavior` gives them; equal ones, those of
    records so short that all sessions are first and last ones, are drawn once.
    """
    words = "Right choices against signed contrast, pooled over mice; bars are 95 % Wilson intervals, lines fitted erf curves."
    canvas = new_figure(8, 4, words)
    ax = canvas.subplots()
    if curves["first"] == curves["last"]:
        _draw_curve(ax, curves["last"], "all sessions", BLUE, "o")
    else:
        _draw_curve(ax, curves["first"], f"first {FIRST_LAST} sessions", VERMILLION, "s")
        _draw_curve(ax, curves["last"], f"last {FIRST_LAST} sessions", BLUE, "o")
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.axvline(0.0, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.set(xlabel="signed contrast (%, positive = right)", ylabel="P(right choice)", xlim=(-105, 105), ylim=(-0.02, 1.02))
    ax.set_xticks([-100, -50, -25, 0, 25, 50, 100])
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.4)
    return canvas


def _draw_curve(ax: Axes, curve: Mapping[str, Any], name: str, colour: str, marker: str) -> None:
    levels, p = np.asarray(curve["levels"]), np.asarray(curve["p"])
    fit = curve["fit"]
    if fit is not None:
        fine = np.linspace(levels.min(), levels.max(), 400)
        ax.plot(fine, psychometric_curve(fine, **fit), color=colour)
    low, high = curve["ci95"]
    bars = np.maximum([p - low, high - p], 0.0)
    label = "\n".join([name, f"{sum(curve['choices']):,} choices", *curve_phrases(curve)])
    ax.errorbar(levels, p, bars, fmt=marker, color=colour, elinewidth=1, label=label.replace(": ", ":\n").replace("-", "−"))
