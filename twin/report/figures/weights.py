"""How the weights of mice moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.data.trials import Trials
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, GREY, SERIES_COLOURS, new_figure

MICE_DRAWN = 6  # at most


@figure(section="Weights")
def weights(shown: Shown) -> Figure | None:
    """Weights of some mice, spread evenly over all, under each model that was fitted; of one mouse alone in wider panels."""
    if shown.trials is None or not shown.weights:
        return None
    mice = len(shown.trials.ids)
    if mice == 1:
        return draw_weights(shown.trials, shown.weights, shown.true_weights)
    some = np.unique(np.linspace(0, mice - 1, MICE_DRAWN).astype(int)).tolist()
    return draw_mice(shown.trials, shown.weights, shown.true_weights, some)


def draw_weights(trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None = None, mouse: int = 0) -> Figure:
    """Weights (M, T, K) of one mouse, one panel per feature: true ones and those of each model, by its name."""
    features = trials.features
    words = f"Weights of mouse {trials.ids[mouse]}, driven by its recorded choices; vertical lines are session starts."
    canvas = new_figure(9, 0.8 + 1.7 * len(features), words)
    axes = canvas.subplots(len(features), 1, sharex=True, squeeze=False)[:, 0]
    for k, (ax, feature) in enumerate(zip(axes, features, strict=True)):
        _draw_panel(ax, trials, inferred, true, mouse, k)
        ax.set_ylabel(f"weight of\n{feature.replace('_', ' ')}\n(logit per unit)")
    axes[-1].set_xlabel("trial")
    canvas.align_ylabels(axes)
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return canvas


def draw_mice(trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None, mice: Sequence[int]) -> Figure:
    """Weights (M, T, K) of several mice: a row for each mouse, a column for each feature, one scale in a column."""
    features = trials.features
    words = (
        f"Weights of {len(mice)} of {len(trials.ids)} mice (logit per unit), driven by their recorded choices; vertical lines "
        "are session starts."
    )
    canvas = new_figure(max(9, 2.8 * len(features)), 1.2 + 1.35 * len(mice), words)
    axes = canvas.subplots(len(mice), len(features), sharey="col", squeeze=False)
    for row, mouse in zip(axes, mice, strict=True):
        for k, ax in enumerate(row):
            _draw_panel(ax, trials, inferred, true, mouse, k)
            ax.locator_params(axis="x", nbins=5)
        row[0].set_ylabel(trials.ids[mouse])
    for ax, feature in zip(axes[0], features, strict=True):
        ax.set_title(f"weight of {feature.replace('_', ' ')} (logit per unit)")
    for ax in axes[-1]:
        ax.set_xlabel("trial")
    canvas.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return canvas


def _draw_panel(
    ax: Axes, trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None, mouse: int, k: int
) -> None:
    """The weight of feature k of one mouse, from its first to its last trial."""
    n = int(trials.lengths[mouse])
    trial = np.arange(1, n + 1)
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
    for start in trial[trials.new_session[mouse, :n]][1:]:
        ax.axvline(start - 0.5, color=GREY, lw=0.6, alpha=0.5, zorder=0)
    if true is not None:
        ax.plot(trial, true[mouse, :n, k], color=BLACK, label="true")
    for i, (name, values) in enumerate(inferred.items()):
        colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
        ax.plot(trial, values[mouse, :n, k], color=colour, ls=(0, (4, 1.5)), label=name)
    ax.set_xlim(1, max(n, 2))
