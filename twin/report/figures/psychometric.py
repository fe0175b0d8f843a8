"""Psychometric curves, of the first and of the last sessions: of one mouse, or the mean over mice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.evaluation.performance import FIRST_LAST
from twin.evaluation.psychometric.curve import psychometric as psychometric_curve
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLUE, GREY, VERMILLION, new_figure
from twin.report.tables import curve_phrases, mean_phrases


@figure(section="Behaviour")
def psychometric(shown: Shown) -> Figure | None:
    """P(right) against signed contrast, if behaviour was described; the curve fitted to pooled choices is of one mouse only."""
    curves = shown.results.get("psychometric_curves")
    if curves is None:
        return None
    mice = shown.results["mice"]
    return draw_curves(curves) if mice == 1 else draw_mice(shown.results["psychometric_over_mice"], mice)


def draw_curves(curves: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Fractions of right choices of the first and the last sessions, and the curves fitted to them.

    `curves`: "first" and "last" -> {levels, choices, p, ci95, fit, reason}, as `behavior` gives them; equal ones, those of
    records so short that all sessions are first and last ones, are drawn once.
    """
    words = "Right choices against signed contrast; bars are 95 % Wilson intervals, lines fitted erf curves."
    canvas, ax = _axes(words)
    _draw_ends(ax, curves, _draw_curve)
    return canvas


def draw_mice(curves: Mapping[str, Mapping[str, Any]], mice: int) -> Figure:
    """Fractions of right choices of the first and the last sessions, each mouse counted once.

    `curves`: "first" and "last" -> {levels, mice, mean, ci95, single_mice, stages, mice_determined, threshold, bias}, as
    `behavior` gives them under `psychometric_over_mice`; `mice`: how many there are. Equal ones are drawn once.
    """
    some = len(curves["last"]["single_mice"])
    words = (
        f"Right choices against signed contrast: points are means over the mice that chose at a contrast, bars their 95 % "
        f"intervals (Student's t over mice), thin lines {some} of the {mice} mice. Thresholds are of each mouse's own curve."
    )
    canvas, ax = _axes(words)
    _draw_ends(ax, curves, _draw_mean)
    return canvas


def _draw_ends(ax: Axes, curves: Mapping[str, Mapping[str, Any]], draw: Callable[..., None]) -> None:
    """Draw the first and the last sessions, or all of them once where these are the same, with their legend."""
    if curves["first"] == curves["last"]:
        draw(ax, curves["last"], "all sessions", BLUE, "o")
    else:
        draw(ax, curves["first"], f"first {FIRST_LAST} sessions", VERMILLION, "s")
        draw(ax, curves["last"], f"last {FIRST_LAST} sessions", BLUE, "o")
    _legend(ax)


def _axes(words: str) -> tuple[Figure, Axes]:
    canvas = new_figure(8.5, 4.2, words)
    ax = canvas.subplots()
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.axvline(0.0, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.set(xlabel="signed contrast (%, positive = right)", ylabel="P(right choice)", xlim=(-105, 105), ylim=(-0.02, 1.02))
    ax.set_xticks([-100, -50, -25, 0, 25, 50, 100])
    return canvas, ax


def _legend(ax: Axes) -> None:
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.4)


def _draw_mean(ax: Axes, curve: Mapping[str, Any], name: str, colour: str, marker: str) -> None:
    levels, mean = np.asarray(curve["levels"], float), np.asarray(curve["mean"], float)
    for fractions in curve["single_mice"].values():
        p = np.array(fractions, float)
        ax.plot(levels[np.isfinite(p)], p[np.isfinite(p)], color=colour, lw=0.5, alpha=0.25)
    low, high = (np.array(limit, float) for limit in curve["ci95"])
    bars = np.nan_to_num(np.maximum([mean - low, high - mean], 0.0))
    text = "\n".join([name, *mean_phrases(curve)]).replace("-", "−")
    ax.errorbar(levels, mean, bars, fmt=f"{marker}-", lw=1.2, color=colour, elinewidth=1, label=text)


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
