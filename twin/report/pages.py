"""Which figures a study's page holds; each is also kept as a PNG beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.recovery import STIMULI, Points, true_update
from twin.report import plots
from twin.report.html import Section, table, write_page
from twin.scenario import CohortStudy, FitStudy, RecoveryStudy, Study
from twin.summary import model_table

Fits = Mapping[str, Any]
Part = tuple[str, Any, dict[str, Any]]  # heading, text, figures by file name


def cohort_page(folder: Path, study: CohortStudy, rollout: Rollout, results: dict[str, Any]) -> None:
    """Figures and page of a cohort."""
    _write(folder, study, results, _behavior(rollout))


def recovery_page(
    folder: Path, study: RecoveryStudy, rollout: Rollout, trials: Trials, fits: Fits, results: dict[str, Any]
) -> None:
    """Figures and page of a recovery: behaviour, then the truth against each model."""
    assert rollout.theta is not None
    theta: np.ndarray = rollout.theta[0]

    def truth(w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        return true_update(study.cohort, theta, Points(w, x, choice, reward))

    weights = {name: fit.weights(trials) for name, fit in fits.items()}
    true = np.full_like(trials.x, np.nan)
    true[np.arange(true.shape[1]) < trials.lengths[:, None]] = rollout.weights
    rules = _rules({"true": truth, **_updates(fits)}, trials, weights, true)
    parameters: list[Part] = [
        (f"Parameters recovered by {name}", "", {f"parameters-{name}": plots.parameter_recovery(model["parameters"])})
        for name, model in results["models"].items()
        if model["parameters"]
    ]
    header, rows = model_table(results)
    scores: Part = (
        "Scores",
        ["Log-likelihoods are natural; errors of the update are those of the stimulus weight.", table(rows, header)],
        {},
    )
    _write(folder, study, results, [scores, *rules, *parameters, *_behavior(rollout)])


def fit_page(folder: Path, study: FitStudy, rollout: Rollout, trials: Trials, fits: Fits, results: dict[str, Any]) -> None:
    """Figures and page of a fit to recorded behaviour."""
    header, rows = model_table(results)
    learning = {name: fit for name, fit in fits.items() if name != "static-glm"}
    weights = {name: fit.weights(trials) for name, fit in fits.items()}
    scores: Part = (
        "Scores",
        ["Log-likelihoods are natural, per trial.", table(rows, header)],
        {"models": plots.model_comparison(results["models"])},
    )
    _write(folder, study, results, [scores, *_rules(_updates(learning), trials, weights, None), *_behavior(rollout)])


def _behavior(rollout: Rollout) -> list[Part]:
    figures = {"psychometric": plots.psychometric_curve(rollout), "learning_curve": plots.learning_curve(rollout)}
    return [("Behaviour", "", figures)]


def _updates(fits: Fits) -> dict[str, Callable[..., np.ndarray]]:
    """The update of the first mouse under each model."""
    return {name: partial(fit.update, 0) for name, fit in fits.items()}


def _rules(updates: dict[str, Any], trials: Trials, weights: dict[str, np.ndarray], true: np.ndarray | None) -> list[Part]:
    """Update maps over where the weights have been, and the first mouse's weights."""
    stimulus = next((f for f in STIMULI if f in trials.features), None)
    parts: list[Part] = []
    if updates and stimulus and "bias" in trials.features:
        known = true if true is not None else np.concatenate(list(weights.values()))
        low, high = np.nanpercentile(known[..., trials.features.index(stimulus)], [1, 99])
        span = (float(np.floor(low)), float(np.ceil(high)) if np.ceil(high) > np.floor(low) else float(np.floor(low)) + 1)
        figure = plots.update_heatmap(updates, trials.features, span)
        parts.append(
            ("The learning rule", f"Change of the stimulus weight of mouse {trials.ids[0]} in one trial.", {"update": figure})
        )
    if weights:
        figure = plots.weight_trajectories(trials, weights, true)
        parts.append(("Weights", f"Weights of mouse {trials.ids[0]}, driven by its recorded choices.", {"weights": figure}))
    return parts


def _write(folder: Path, study: Study, results: dict[str, Any], parts: list[Part]) -> None:
    (folder / "figures").mkdir(exist_ok=True)
    sections: list[Section] = []
    for heading, text, figures in parts:
        for name, figure in figures.items():
            plots.save_png(figure, folder / "figures" / f"{name}.png")
        sections.append((heading, text, list(figures.values())))
    facts = {
        "Scenario": f"{study.name} ({study.kind}), seed {study.seed}",
        "Data": f"{results['mice']} mice, {results['trials']} trials",
        "Psychometric fit, last three sessions": ", ".join(
            f"{k.replace('_', ' ')} {v:.3g}" for k, v in results["psychometric"].items()
        ),
    }
    write_page(folder / "report.html", study.name, sections, facts)
