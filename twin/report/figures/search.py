"""How a search for a better design went, and what the design that was found saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREY, SERIES_COLOURS, VERMILLION, new_figure

COLUMNS = 3  # panels in a row


@figure(section="Design", place=0)
def search(shown: Shown) -> Figure | None:
    """Cost of every design against each of its settings, where designs were searched for."""
    tried = shown.results.get("tried")
    if tried is None:
        return None
    names = list(next(iter(tried.values()))["settings"])
    words = (
        f"Cost of every design ({shown.results['objective'].replace('_', ' ')}, relative to the protocol as it is: dotted) in "
        "the first round (grey) and in the last round that it was in (coloured), against each setting. The ring is the design "
        "found."
    )
    rows = -(-len(names) // COLUMNS)
    canvas = new_figure(3.2 * min(len(names), COLUMNS), 2.8 * rows, words)
    axes = canvas.subplots(rows, min(len(names), COLUMNS), squeeze=False, sharey=True).ravel()
    for ax, name in zip(axes, names, strict=False):
        draw_setting(ax, name, tried, shown.results["best"])
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    axes[0].legend(loc="upper right", fontsize=8)
    for row in range(rows):
        axes[row * min(len(names), COLUMNS)].set_ylabel("cost, relative")
    return canvas


def draw_setting(ax: Axes, name: str, tried: Mapping[str, Mapping[str, Any]], best: str) -> Axes:
    """Cost of designs against one setting; values that are no numbers are named on the axis."""
    values = [one["settings"][name] for one in tried.values()]
    places, labels = _places(values)
    first = np.array([one["costs"][0] for one in tried.values()])
    last = np.array([one["costs"][-1] for one in tried.values()])
    rounds = np.array([len(one["costs"]) for one in tried.values()])
    ax.axhline(1.0, color=BLACK, lw=0.8, ls=":")
    ax.plot(places, first, "o", color=GREY, alpha=0.6, ms=4, label="round 1")
    for number in range(2, rounds.max() + 1):
        at = rounds == number
        ax.plot(
            places[at], last[at], "o", color=SERIES_COLOURS[(number - 2) % len(SERIES_COLOURS)], ms=5, label=f"round {number}"
        )
    if best in tried:
        i = list(tried).index(best)
        ax.plot(places[i], last[i], "o", ms=11, mfc="none", mec=BLACK)
    ax.set_xlabel(name)
    if labels:
        ax.set_xticks(range(len(labels)), labels, fontsize=8, rotation=20, ha="right")
    return ax


def _places(values: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Where values are on an axis, and their names if they are no numbers."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values, float), []
    labels = sorted({str(value) for value in values})
    spread = np.linspace(-0.15, 0.15, len(values))
    return np.array([labels.index(str(value)) for value in values]) + spread, [label[:18] for label in labels]


@figure(section="Design", place=1)
def saved(shown: Shown) -> Figure | None:
    """What the design that was found saves in held-out mice; nothing if it is the protocol as it is."""
    held_out = shown.results.get("held_out")
    if held_out is None or shown.results.get("best") not in shown.results.get("tried", {}):
        return None
    words = (
        "What the design that was found saves in mice that had no part in the search, with 95 % bootstrap intervals over mice; "
        "below 0 it costs more. Open: a rule that the search did not know."
    )
    canvas = new_figure(6.0, 3.0, words)
    draw_saved(canvas.subplots(), held_out)
    return canvas


def draw_saved(ax: Axes, held_out: Mapping[str, Mapping[str, Any]]) -> Axes:
    """Savings by cost, one colour for each cohort."""
    costs = list(next(iter(held_out.values()))["savings"])
    width = 0.6 / len(held_out)
    for i, (name, judged) in enumerate(held_out.items()):
        at = np.arange(len(costs)) + (i - (len(held_out) - 1) / 2) * width
        middle = 100 * np.array([judged["savings"][cost]["saved"] for cost in costs])
        ends = 100 * np.array([judged["savings"][cost]["ci95"] for cost in costs]).T
        colour = (BLUE, VERMILLION, *SERIES_COLOURS[2:])[i % len(SERIES_COLOURS)]
        face = colour if judged["searched"] else "white"
        ax.errorbar(at, middle, np.abs(ends - middle), fmt="o", color=colour, mfc=face, capsize=3, label=name)
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_xticks(range(len(costs)), ["sessions", "trials", "water", "hours"][: len(costs)])
    ax.set_ylabel("saved, %")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax
