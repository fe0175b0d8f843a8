"""How well models predict choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREEN, GREY, new_figure

SCORES = {  # key: label, marker, its face and edge, vertical offset
    "train_ll_per_trial": ("training trials", "o", "white", BLUE, -0.12),
    "heldout_ll_per_trial": ("held out (bar: 95 % interval)", "D", GREEN, GREEN, 0.0),
    "future_ll_per_trial": ("future trials", "o", BLUE, BLUE, 0.12),
}


@figure(section="Scores")
def models(shown: Shown) -> Figure | None:
    """Scores of the models, where recorded choices were predicted."""
    scored = shown.results.get("models", {})
    return draw_scores(scored) if any(key in model for model in scored.values() for key in SCORES) else None


def draw_scores(scored: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Log-likelihood per trial of each model on trials it was trained on, held-out and future ones, where given (`SCORES`)."""
    canvas = new_figure(7.5, 1.5 + 0.45 * len(scored), "Log-likelihood per trial of each model; further right is better.")
    ax = canvas.subplots()
    for key, (label, marker, face, edge, offset) in SCORES.items():
        found = [(i + offset, model[key]) for i, model in enumerate(scored.values()) if model.get(key) is not None]
        for y, score in found:
            ax.plot(score, y, marker, ms=7, mfc=face, mec=edge, label=label if y == found[0][0] else "_")
    _draw_intervals(ax, scored)
    ax.axvline(math.log(0.5), color=BLACK, lw=0.8, ls=":", label="chance, log ½")
    ax.grid(axis="y", color=GREY, lw=0.4, alpha=0.5)
    ax.set_yticks(range(len(scored)), list(scored))
    ax.set(xlabel="log-likelihood per trial (nats)", ylabel="model", ylim=(len(scored) - 0.5, -0.5))
    canvas.legend(loc="outside upper center", ncols=4)
    return canvas


def _draw_intervals(ax: Axes, scored: Mapping[str, Mapping[str, Any]]) -> None:
    for i, model in enumerate(scored.values()):
        if model.get("heldout_se") is not None:
            score, reach = model["heldout_ll_per_trial"], norm.ppf(0.975) * model["heldout_se"]
            ax.hlines(i, score - reach, score + reach, color=GREEN, lw=1)
