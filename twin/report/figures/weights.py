"""How the weights of one mouse moved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from twin.data.trials import Trials
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, GREY, SERIES_COLOURS, new_figure


@figure(section="Weights")
def weights(shown: Shown) -> Figure | None:
    """Weights of the first mouse under each model that was fitted."""
    if shown.trials is None or not shown.weights:
        return None
    return draw_weights(shown.trials, shown.weights, shown.true_weights)


def draw_weights(trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None = None, mouse: int = 0) -> Figure:
    """Weights (M, T, K) of one mouse, one panel per feature: true ones and those of each model, by its name."""
    n, features = int(trials.lengths[mouse]), trials.features
    words = f"Weights of mouse {trials.ids[mouse]}, driven by its recorded choices; vertical lines are session starts."
    canvas = new_figure(9, 0.8 + 1.7 * len(features), words)
    axes = canvas.subplots(len(features), 1, sharex=True, squeeze=False)[:, 0]
    trial = np.arange(1, n + 1)
    for k, (ax, feature) in enumerate(zip(axes, features, strict=True)):
        ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
        for start in trial[trials.new_session[mouse, :n]][1:]:
            ax.axvline(start - 0.5, color=GREY, lw=0.6, alpha=0.5, zorder=0)
        if true is not None:
            ax.plot(trial, true[mouse, :n, k], color=BLACK, label="true")
        for i, (name, values) in enumerate(inferred.items()):
            colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
            ax.plot(trial, values[mouse, :n, k], color=colour, ls=(0, (4, 1.5)), label=name)
        ax.set(ylabel=f"weight of\n{feature.replace('_', ' ')}\n(logit per unit)", xlim=(1, max(n, 2)))
    axes[-1].set_xlabel("trial")
    canvas.align_ylabels(axes)
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return canvas
