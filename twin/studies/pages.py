"""Which figures a study's page holds; each is also kept as a PNG beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.designs import Outcome
from twin.evaluation.memory_probe import FEW, LAST, MANY
from twin.evaluation.recovery import STIMULI, Points, true_update
from twin.report import plots
from twin.report.html import Section, table, write_page
from twin.report.plots_designs import paired_differences, survival_curves
from twin.report.plots_history import history_updates
from twin.report.tables import design_table, model_table
from twin.studies.scenario import CohortStudy, FitStudy, ProtocolsStudy, RecoveryStudy, Study

Fits = Mapping[str, Any]
Part = tuple[str, Any, dict[str, Any]]  # heading, text, figures by file name


def cohort_page(folder: Path, study: CohortStudy, rollout: Rollout, results: dict[str, Any]) -> None:
    """Figures and page of a cohort."""
    _write(folder, study, results, [*_behavior(rollout), *_statuses(results)])


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
    _write(folder, study, results, [scores, *rules, *_memory(results), *parameters, *_behavior(rollout)])


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


def protocols_page(folder: Path, study: ProtocolsStudy, outcomes: Mapping[str, Outcome], results: dict[str, Any]) -> None:
    """Figures and page of a comparison of designs."""
    header, rows = design_table(results)
    words = (
        f"The same {results['mice']} mice under each design, until {results['until']} or for {results['horizon']} sessions. "
        "Means are over all mice and count what a mouse cost until then; the median is of the time to the status, a dash if "
        "fewer than half reached it. In brackets: 95 % bootstrap intervals over mice."
    )
    sessions = {name: outcome.sessions for name, outcome in outcomes.items()}
    figures = {
        "survival": survival_curves(results["designs"], results["until"]),
        "differences": paired_differences(sessions, results["comparisons"], results["horizon"]),
    }
    pairs = [
        [p["a"], p["b"], *(_signed(p[k]) for k in ("difference", "ci95")), p["p_paired"], p["p"]]
        for p in results["comparisons"]
    ]
    tests = table(pairs, ["a", "b", "sessions of a less b", "95 % interval", "p (paired t)", "p (log-rank)"])
    ranking = [[p["design"], p["mean_sessions"], p["probability_best"]] for p in results["ranking"]]
    best = table(ranking, ["design", "mean sessions", "probability that it needs fewest"])
    parts: list[Part] = [("Designs", [words, table(rows, header)], figures), ("Comparisons", [tests, best], {})]
    _write(folder, study, results, parts)


def _signed(value: Any) -> str:
    return f"{value:+.2f}" if isinstance(value, float) else f"{value[0]:+.2f} to {value[1]:+.2f}"


def _behavior(rollout: Rollout) -> list[Part]:
    figures = {"psychometric": plots.psychometric_curve(rollout), "learning_curve": plots.learning_curve(rollout)}
    return [("Behaviour", "", figures)]


def _statuses(results: dict[str, Any]) -> list[Part]:
    """When mice reached each training status."""
    sessions, trials = results["sessions_to_status"], results["trials_to_status"]
    if not sessions:
        return []
    header = ["status", "mice that reached it", "sessions: mean", "sd", "median", "trials: mean", "sd", "median"]
    numbers = ("mean", "sd", "median")
    rows = [
        [label, f"{100 * row['fraction_reached']:.0f} %", *(row[k] for k in numbers), *(trials[label][k] for k in numbers)]
        for label, row in sessions.items()
    ]
    return [("Training status", ["Of the mice that reached it, the session included.", table(rows, header)], {})]


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


def _memory(results: dict[str, Any]) -> list[Part]:
    """Updates after rewarded and unrewarded histories, if the true rule tells them apart."""
    gaps = {name: model["history_gap"] for name, model in results["models"].items() if model["history_gap"].get("true")}
    if not gaps:
        return []
    words = (
        f"Mean change of the stimulus weight by the same rewarded trials, put after histories in which at least {MANY} "
        f"(rewarded) or at most {FEW} (unrewarded) of the last {LAST} choices were rewarded. The gap is the difference."
    )
    rows = [[name, gap["true"], gap["estimate"], f"{100 * gap['recovered']:.0f} %"] for name, gap in gaps.items()]
    numbers = table(rows, ["model", "true gap", "inferred gap", "recovered"])
    return [("Memory of past trials", [words, numbers], {"history": history_updates(gaps)})]


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
    }
    if "psychometric" in results:
        curve = ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in results["psychometric"].items())
        facts["Psychometric fit, last three sessions"] = curve
    write_page(folder / "report.html", study.name, sections, facts)
