"""What a study's page says, and what its figures are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.histories import FEW, LAST, MANY
from twin.evaluation.recovery import Points, true_update
from twin.report import page
from twin.report.html import table
from twin.report.shown import Shown
from twin.report.tables import curve_phrases, design_table, model_table
from twin.studies.scenario import CohortStudy, FitStudy, ProtocolsStudy, RecoveryStudy, Study

Fits = Mapping[str, Any]
Part = tuple[str, Any]  # heading, text


def cohort_page(folder: Path, study: CohortStudy, rollout: Rollout, results: dict[str, Any]) -> None:
    """Figures and page of a cohort."""
    _write(folder, study, [("Behaviour", ""), *_statuses(results)], Shown(results, rollout))


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
    header, rows = model_table(results)
    words = "Log-likelihoods are natural; errors of the update are those of the stimulus weight."
    sections = [("Scores", [words, table(rows, header)]), ("The learning rule", ""), ("Weights", ""), *_memory(results)]
    shown = Shown(results, rollout, trials, weights, true, {"true": truth, **_updates(fits)})
    _write(folder, study, [*sections, ("Parameters", ""), ("Behaviour", "")], shown)


def fit_page(folder: Path, study: FitStudy, rollout: Rollout, trials: Trials, fits: Fits, results: dict[str, Any]) -> None:
    """Figures and page of a fit to recorded behaviour."""
    header, rows = model_table(results)
    learning = {name: fit for name, fit in fits.items() if name != "static-glm"}
    weights = {name: fit.weights(trials) for name, fit in fits.items()}
    scores = ("Scores", ["Log-likelihoods are natural, per trial.", table(rows, header)])
    shown = Shown(results, rollout, trials, weights, None, _updates(learning))
    _write(folder, study, [scores, ("The learning rule", ""), ("Weights", ""), ("Behaviour", "")], shown)


def protocols_page(folder: Path, study: ProtocolsStudy, results: dict[str, Any]) -> None:
    """Figures and page of a comparison of designs."""
    header, rows = design_table(results)
    words = (
        f"The same {results['mice']} mice under each design, until {results['until']} or for {results['horizon']} sessions. "
        "Means are over all mice and count what a mouse cost until then; the median is of the time to the status, a dash if "
        "fewer than half reached it. In brackets: 95 % bootstrap intervals over mice."
    )
    pairs = [
        [p["a"], p["b"], *(_signed(p[k]) for k in ("difference", "ci95")), p["p_paired"], p["p"]]
        for p in results["comparisons"]
    ]
    tests = table(pairs, ["a", "b", "sessions of a minus b", "95 % interval", "p (paired t)", "p (log-rank)"])
    ranking = [[p["design"], p["mean_sessions"], p["probability_best"]] for p in results["ranking"]]
    best = table(ranking, ["design", "mean sessions", "probability that it needs fewest"])
    sections = [("Designs", [words, table(rows, header)]), ("Comparisons", [tests, best])]
    _write(folder, study, sections, Shown(results))


def _signed(value: Any) -> str:
    return f"{value:+.2f}" if isinstance(value, float) else f"{value[0]:+.2f} to {value[1]:+.2f}"


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
    return [("Training status", ["Of the mice that reached it, the session included.", table(rows, header)])]


def _updates(fits: Fits) -> dict[str, Callable[..., np.ndarray]]:
    """The update of the first mouse under each model."""
    return {name: partial(fit.update, 0) for name, fit in fits.items()}


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
    return [("Memory of past trials", [words, numbers])]


def _write(folder: Path, study: Study, sections: Sequence[Part], shown: Shown) -> None:
    results = shown.results
    facts = {
        "Scenario": f"{study.name} ({study.kind}), seed {study.seed}",
        "Data": f"{results['mice']} mice, {results['trials']} trials",
    }
    if "psychometric_curves" in results:
        facts["Psychometric curve, last three sessions"] = ", ".join(curve_phrases(results["psychometric_curves"]["last"]))
    page.write(folder, study.name, sections, facts, shown)
