"""True baselines and those that models estimate, by variant of the mice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, GREY, SERIES_COLOURS, new_figure

ACROSS = 4  # panels in a row
LINEAR = 1.0  # baselines beyond are on a logarithmic scale
TICKS = (-30.0, -10.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0)


@figure(section="Baselines")
def baselines(shown: Shown) -> Figure | None:
    """Baselines of the variants, where some were compared."""
    return draw_baselines(shown.results["variants"]) if "variants" in shown.results else None


def draw_baselines(variants: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Every mouse's estimate with its 95 % interval, a panel for each variant and a colour for each model.

    `variants`: name -> {true, models: name -> {estimates: (M,), ci95: (M, 2)}}, as results.json has them.
    """
    columns = min(len(variants), ACROSS)
    rows = math.ceil(len(variants) / columns)
    words = (
        "Baseline estimated of each mouse, with its 95 % interval, in the order of estimates; dashed: the true one; dotted: 0. "
        "The scale is linear from -1 to 1 and logarithmic beyond."
    )
    canvas = new_figure(max(2.9 * columns, 4.5), 2.7 * rows + 0.4, words)
    panels = canvas.subplots(rows, columns, sharey=True, squeeze=False)
    for i, ax in enumerate(panels.flat):
        if i < len(variants):
            name = list(variants)[i]
            _draw_variant(ax, name, variants[name])
            ax.set(ylabel="baseline (reward)" if i % columns == 0 else "")
        else:
            ax.set_axis_off()
    models = list(next(iter(variants.values()))["models"])
    marks = [
        canvas.axes[0].plot([], [], "o-", color=colour, label=name)
        for name, colour in zip(models, _colours(models), strict=True)
    ]
    canvas.legend(handles=[mark for (mark,) in marks], loc="outside upper center", ncols=len(models))
    return canvas


def _colours(models: list[str]) -> list[str]:
    return [SERIES_COLOURS[i % len(SERIES_COLOURS)] for i in range(len(models))]


def _draw_variant(ax: Axes, name: str, variant: Mapping[str, Any]) -> None:
    models = variant["models"]
    for i, (found, colour) in enumerate(zip(models.values(), _colours(list(models)), strict=True)):
        estimates, ci95 = np.array(found["estimates"], float), np.array(found["ci95"], float)
        order = np.argsort(estimates)
        at = np.arange(1, len(order) + 1) + 0.4 * ((i + 0.5) / len(models) - 0.5)
        ax.vlines(at, *ci95[order].T, color=colour, lw=1.2, alpha=0.7)
        ax.plot(at, estimates[order], "o", color=colour, ms=3.5)
    ax.axhline(0.0, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.axhline(variant["true"], color=BLACK, lw=1, ls="--", zorder=0)
    ax.set_yscale("symlog", linthresh=LINEAR)
    ax.set_yticks(TICKS, [f"{tick:g}".replace("-", "−") for tick in TICKS])
    ax.minorticks_off()
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=5))
    ax.set(title=f"{name}, true {variant['true']:g}".replace("true -", "true −"), xlabel="mouse (in order of estimate)")
