"""The page of a study, and the figures that kinds share; each figure is also kept as a PNG beside the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.studies.results import Results

if TYPE_CHECKING:
    from twin.inference.fit import Fit
    from twin.report.plots import Figure  # matplotlib is loaded once there is something to draw

Texts = dict[str, str | Sequence[str]]  # of each section, by its heading
Figures = dict[str, dict[str, "Figure"]]  # of each section, by their files' names
Updates = Mapping[str, Callable[..., np.ndarray]]  # w, x, choice, reward -> change of the weights of the first mouse


def write(folder: Path, results: Results, texts: Texts, figures: Figures) -> None:
    """Write report.html and figures/*.png: sections in the order of the texts, then those that have figures alone."""
    from twin.report.html import write_page
    from twin.report.plots import save_png

    (folder / "figures").mkdir(exist_ok=True)
    for of_section in figures.values():
        for name, figure in of_section.items():
            save_png(figure, folder / "figures" / f"{name}.png")
    headings = dict.fromkeys([*texts, *figures])
    sections = [(heading, texts.get(heading, ""), list(figures.get(heading, {}).values())) for heading in headings]
    write_page(folder / "report.html", results.scenario, sections, results.facts())


def behavior_figures(rollout: Rollout) -> Figures:
    """How the mice performed."""
    from twin.report import plots

    return {
        "Behaviour": {"psychometric": plots.psychometric_curve(rollout), "learning_curve": plots.learning_curve(rollout)},
    }


def fitted_updates(fits: Mapping[str, Fit]) -> Updates:
    """The update of the first mouse by each fit."""
    return {name: partial(fit.update, 0) for name, fit in fits.items()}


def rule_texts(trials: Trials) -> Texts:
    """What is said of updates and weights."""
    mouse = trials.ids[0]
    return {
        "The learning rule": f"Change of the stimulus weight of mouse {mouse} in one trial.",
        "Weights": f"Weights of mouse {mouse}, driven by its recorded choices.",
    }


def rule_figures(updates: Updates, trials: Trials, weights: Mapping[str, np.ndarray], true: np.ndarray | None) -> Figures:
    """Update maps over where the weights have been, and the first mouse's weights."""
    from twin.evaluation.recovery import STIMULI
    from twin.report import plots

    stimulus = next((f for f in STIMULI if f in trials.features), None)
    figures: Figures = {}
    if updates and stimulus and "bias" in trials.features:
        known = true if true is not None else np.concatenate(list(weights.values()))
        span = _span(known[..., trials.features.index(stimulus)])
        figures["The learning rule"] = {"update": plots.update_heatmap(updates, trials.features, span)}
    if weights:
        figures["Weights"] = {"weights": plots.weight_trajectories(trials, weights, true)}
    return figures


def _span(weights: np.ndarray) -> tuple[float, float]:
    """Whole numbers between which nearly all of the weights lie."""
    low, high = np.nanpercentile(weights, [1, 99])
    floor, ceiling = float(np.floor(low)), float(np.ceil(high))
    return floor, ceiling if ceiling > floor else floor + 1.0
