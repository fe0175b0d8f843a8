"""Kind `recovery`: simulate mice, fit models to their choices, and compare what was inferred with the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from twin.cohort import Cohort
from twin.data.controls import SHUFFLED, shuffle_rewards
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.memory_probe import FEW, LAST, MANY
from twin.evaluation.mice import fitted_rows
from twin.evaluation.performance import behavior
from twin.report.tables import model_table, text_table
from twin.studies import rules
from twin.studies.cohort import CohortStudy
from twin.studies.folder import RunFolder
from twin.studies.models import fit_models
from twin.studies.results import ESTIMATE, BehaviorResults, Number, Record, warning_lines
from twin.studies.study import Done, Options
from twin.studies.table import Inference

if TYPE_CHECKING:
    from twin.inference.fit import Fit  # torch is loaded once there is something to fit

COLUMNS = {
    "log-lik/trial": ("nll_per_trial", -1.0),
    "truth": ("true_nll_per_trial", -1.0),
    "rel. RMSE grid": ("relative_rmse", 1.0),
    "R2 grid": ("r2", 1.0),
    "rel. RMSE visited": ("relative_rmse_visited", 1.0),
    "R2 visited": ("r2_visited", 1.0),
    "spread": ("relative_spread", 1.0),
    "weights RMSE": ("weights_rmse", 1.0),
    "seconds": ("seconds", 1.0),
}


class RecoveredParameter(Record):
    """A parameter of every mouse, true and estimated, in natural units; one value per mouse."""

    true: list[Number] = Field(description="with which the mice were simulated; null: not finite")
    estimate: list[Number] = Field(description=ESTIMATE)
    ci95: list[tuple[Number, Number]] = Field(description="95 % interval of the estimate; null: not finite")
    covered: float = Field(description="fraction of mice whose interval holds the truth")


class HistoryCounts(Record):
    """How many histories were compared."""

    rewarded: int = Field(description="with at least 7 of the last 10 choices rewarded")
    unrewarded: int = Field(description="with at most 3 of them rewarded")


class UpdatesAfter(Record):
    """Mean change of the stimulus weight in one trial, by stimulus."""

    rewarded: list[Number] = Field(description="after rewarded histories; null: not finite")
    unrewarded: list[Number] = Field(description="after unrewarded histories; null: not finite")


class TrueAndInferred(Record):
    """Updates by the rule of the mice and by the model."""

    true: UpdatesAfter = Field(description="by the rule of the mice")
    estimate: UpdatesAfter = Field(description="by the model")


class HistoryGap(Record):
    """How updates depend on earlier trials; empty if no mouse has histories of both kinds, or the model cannot be stepped."""

    true: Number = Field(
        None, description="mean update after rewarded minus after unrewarded histories, by the true rule; null: not finite"
    )
    estimate: Number = Field(None, description="the same by the model; null: not finite")
    recovered: Number = Field(None, description="the model's gap as a fraction of the true one; null if that is 0")
    slope: Number = Field(
        None,
        description="of a regression of the model's gaps, by mouse and probe, on the true ones; null if these do not differ",
    )
    mice: int = Field(0, description="mice that have histories of both kinds")
    histories: HistoryCounts | None = Field(None, description="how many were compared; null if none")
    stimulus_weight: Number = Field(
        None, description="where the weights of both kinds of history meet: that of the probes; null: not finite"
    )
    stimulus: list[float] = Field([], description="stimuli of the probes")
    updates: TrueAndInferred | None = Field(None, description="by stimulus; null if none were compared")


class RecoveredModel(rules.ReadModel):
    """A model against the truth; updates are those of the stimulus weight in one trial."""

    nll_per_trial: Number = Field(description="negative log-likelihood (natural) of a choice by the model; null: not finite")
    true_nll_per_trial: Number = Field(description="the same by the mice's own probabilities; null: not finite")
    rmse: Number = Field(
        description="root mean square error of the update on the grid of weights and stimuli; null: not finite"
    )
    relative_rmse: Number = Field(
        description="that, relative to the root mean square of the true update; null if the true rule never moves the weight"
    )
    r2: Number = Field(
        description="fraction of the variance of the true update on the grid that is explained; null if that has no variance"
    )
    rmse_visited: Number = Field(
        description="root mean square error of the update in trials that the mice did; null: not finite"
    )
    relative_rmse_visited: Number = Field(
        description="that, relative to the root mean square of the true update; null if the true rule never moves the weight"
    )
    r2_visited: Number = Field(
        description="fraction of its variance in those trials that is explained; null if it has no variance"
    )
    relative_spread: Number = Field(
        None,
        description="how far members of an ensemble differ, relative to their mean update; null if that never moves the weight",
    )
    weights_rmse: Number = Field(
        description="root mean square error of the weights over all trials, logit per feature; null: not finite"
    )
    parameters: Mapping[str, RecoveredParameter] = Field(description="parameters that the model shares with the mice's rule")
    history_gap: HistoryGap = Field(description="what the rule remembers of earlier trials")
    seconds: float = Field(description="that fitting took")


class RecoveryResults(BehaviorResults):
    """How mice perform, and how well models recover their rule."""

    models: Mapping[str, RecoveredModel] = Field(description="by the name under which it was fitted")
    notes: list[str] = Field([], description="what failed, and why")

    def summary(self) -> str:
        """How the mice did, and the table of the models."""
        told = [*text_table(*model_table(self.table()["models"], COLUMNS)), *warning_lines(self.models), *self.flag_lines()]
        told += rules.reading_lines(self.models)
        return "\n".join([super().summary(), *(f"note: {note}" for note in self.notes), "", *told])


class RecoveryStudy(CohortStudy):
    """Simulate a cohort, fit models to it, and compare them with the truth."""

    kind: ClassVar[str] = "recovery"

    inference: Inference
    shuffle_rewards: bool = Field(False, description="a control: fit to rewards shuffled over the trials of each mouse")

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if not self.run.weights:
            raise ValueError("run.weights = false: true weights are what fits are compared with; leave it out")
        return self

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Simulate, fit every model, and compare it with the truth."""
        rollout = self.rollout(folder, options).read()
        record = shuffle_rewards(rollout, self.seed) if self.shuffle_rewards else rollout
        trials = Trials.from_rollout(record, self.inference.features)
        fits, failed = fit_models(self.inference, trials, folder, options, _first_weights(rollout, trials))
        notes = [*failed, *[SHUFFLED] * self.shuffle_rewards]

        from twin.evaluation.recovery import recovery
        from twin.evaluation.told import told_of

        found = {name: fit for name, (fit, _) in fits.items()}
        choices = {name: fit.log_likelihood(trials) for name, fit in found.items()}
        weights = rules.weights_of(found, trials)
        models = {
            name: recovery(fit, self.cohort, rollout, trials, weights.get(name))
            | {"seconds": seconds}
            | rules.with_simulated(told_of(fit, trials, choices[name], weights.get(name)), fit, rollout, self.seed)
            for name, (fit, seconds) in fits.items()
        }
        behaved = behavior(rollout)
        scores = {name: log_likelihood.sum(axis=1) for name, log_likelihood in choices.items()}
        of_mice = fitted_rows(found, scores, trials.mask.sum(axis=1))
        behaved["mice_table"] = rules.with_fits(behaved["mice_table"], trials.ids, of_mice)
        results = RecoveryResults(**behaved, models=models, notes=notes, **self.head(folder))
        return Done(results, partial(_page, folder.path, results, self.cohort, rollout, trials, found, weights))


def _first_weights(rollout: Rollout, trials: Trials) -> np.ndarray | None:
    """True weights before each mouse's first trial, (M, K), if the fitted features are those of the mice."""
    if rollout.weights is None or trials.features != rollout.features:
        return None
    return rollout.weights[rollout.starts[:-1]].astype(float)


def _scores_text(results: RecoveryResults) -> list[str]:
    from twin.report.html import table

    header, rows = model_table(results.table()["models"], COLUMNS)
    words = "Log-likelihoods are natural; errors of the update are those of the stimulus weight."
    return [words, table(rows, header), *warning_lines(results.models)]


def _remembering(results: RecoveryResults) -> dict[str, dict[str, Any]]:
    """The history gap of each model, if the true rule has one."""
    gaps = {name: model["history_gap"] for name, model in results.table()["models"].items()}
    return {name: gap for name, gap in gaps.items() if gap.get("true")}


def _memory_text(gaps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is said of updates after rewarded and unrewarded histories."""
    from twin.report.html import table

    words = (
        f"Mean change of the stimulus weight by the same rewarded trials, put after histories in which at least {MANY} "
        f"(rewarded) or at most {FEW} (unrewarded) of the last {LAST} choices were rewarded. The gap is the difference."
    )
    rows = [[name, gap["true"], gap["estimate"], f"{100 * gap['recovered']:.0f} %"] for name, gap in gaps.items()]
    return [words, table(rows, ["model", "true gap", "inferred gap", "recovered"])]


def _true_update(cohort: Cohort, rollout: Rollout) -> Callable[..., np.ndarray]:
    """The update of the first mouse by its own rule."""
    from twin.evaluation.recovery import Points, true_update

    assert rollout.theta is not None
    theta: np.ndarray = rollout.theta[0]

    def update(w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        return true_update(cohort, theta, Points(w, x, choice, reward))

    return update


def _page(
    folder: Path,
    results: RecoveryResults,
    cohort: Cohort,
    rollout: Rollout,
    trials: Trials,
    fits: Mapping[str, Fit],
    weights: Mapping[str, np.ndarray],
) -> None:
    from twin.evaluation.recovery import true_weights
    from twin.report import page
    from twin.report.mice import mice_text
    from twin.report.shown import Shown

    updates = {"true": _true_update(cohort, rollout), **rules.updates_of_first_mouse(fits)}
    shown = Shown(results.table(), rollout, trials, weights, true_weights(rollout, trials), updates)
    sections = [("Scores", _scores_text(results)), ("The learning rule", rules.reading_text(results.models)), ("Weights", "")]
    if gaps := _remembering(results):
        sections.append(("Memory of past trials", _memory_text(gaps)))
    sections += [("Parameters", ""), ("Mice", mice_text(shown.results["mice_table"])), ("Behaviour", "")]
    page.write(folder, results.scenario, sections, results.facts(), shown)
