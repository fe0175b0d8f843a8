"""Kind `fit`: fit models to recorded behaviour and see how well they predict it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from twin.data import formats
from twin.data.controls import SHUFFLED, shuffle_rewards
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.performance import behavior
from twin.evaluation.status_times import times_to_status
from twin.inference.registry import find_settings
from twin.inference.settings import RuleSettings
from twin.report.tables import model_table, text_table
from twin.studies import rules
from twin.studies.folder import RunFolder
from twin.studies.models import FAILURES, KeptScores, fit_models
from twin.studies.results import Number, Pair, warning_lines
from twin.studies.study import Done, Options, Study
from twin.studies.table import Inference, beside_scenario
from twin.studies.training import TrainingResults, with_recorded_status

if TYPE_CHECKING:
    from twin.inference.fit import Fit  # torch is loaded once there is something to fit

FEATURES = ("stimulus", "bias")  # of models that are not told others
COLUMNS = {
    "log-lik/trial fitted": ("train_ll_per_trial", 1.0),
    "log-lik/trial later": ("future_ll_per_trial", 1.0),
    "log-lik/trial new mice": ("heldout_ll_per_trial", 1.0),
    "se": ("heldout_se", 1.0),
    "later trials of new mice": ("unadapted_ll_per_trial", 1.0),
    "the same adapted": ("adapted_ll_per_trial", 1.0),
    "se of the gain": ("adapted_gain_se", 1.0),
    "accuracy": ("accuracy", 1.0),
    "seconds": ("seconds", 1.0),
}


class FittedModel(rules.ReadModel):
    """How well a model predicts choices; log-likelihoods are natural, per trial with a choice."""

    train_ll_per_trial: Number = Field(description="log-likelihood of the trials it was fitted to; null if it is not finite")
    accuracy: Number = Field(
        None, description="fraction of choices given more than 1/2, of later trials, else of fitted; null without later choices"
    )
    seconds: Number = Field(
        None, description="that fitting took; 0 of a static GLM that is fitted for comparison alone; null if not known"
    )
    heldout_ll_per_trial: Number = Field(
        None,
        description="log-likelihood of mice it was not fitted to, each the average over those it was; with `folds`; null if it "
        "is not finite",
    )
    heldout_se: Number = Field(None, description="standard error of that over mice; null if it is not finite, none of chance")
    unadapted_ll_per_trial: Number = Field(
        None,
        description="log-likelihood of held-out mice after their first sessions, as of any mouse; with `adapt`, else null",
    )
    adapted_ll_per_trial: Number = Field(
        None, description="the same by parameters that those first sessions tell, with what mice share as it is; else null"
    )
    adapted_gain_se: Number = Field(None, description="standard error over mice of the difference of these two; else null")
    update_se: Number = Field(
        None,
        description="standard error of the update over fits to the other mice of each fold, relative to the update; with "
        "`folds`; null for models that move no weight",
    )
    future_ll_per_trial: Number = Field(
        None, description="log-likelihood of the trials that were set aside; with `future`; null without choices among them"
    )


class ModelComparison(Pair):
    """Two models on the later trials, else on those they were fitted to."""

    difference: Number = Field(description="log-likelihood per trial of a minus that of b; null: see `reason`")
    p: Number = Field(description="two-sided p of no difference, from sums over blocks of 50 trials; null: see `reason`")
    reason: str = Field("", description="why there is no p, where there is none")


class FitResults(TrainingResults):
    """How mice perform, when they were trained, and how well models predict them."""

    models: Mapping[str, FittedModel] = Field(description="by model, `chance` among them")
    comparisons: Sequence[ModelComparison] = Field(description="of every two models but chance")
    notes: list[str] = Field(
        [],
        description="what was made of the data (rows sorted, rewards derived), what was left out, what failed, and why",
    )

    def summary(self) -> str:
        """How the mice did, the table of the models, and what in it is none."""
        told = [*text_table(*model_table(self.table()["models"], COLUMNS)), *warning_lines(self.models), *self.flag_lines()]
        told += rules.reading_lines(self.models)
        return "\n".join([super().summary(), *self.status_lines(), *(f"note: {note}" for note in self.notes), "", *told])

    def facts(self) -> dict[str, str]:
        """What the page says before its first section."""
        return super().facts() | ({"Notes": "; ".join(self.notes)} if self.notes else {})


class RecordedInference(Inference):
    """As of simulated mice; but weights of recorded mice move at random and the mice lapse, unless `noise = false`."""

    def settings(self, name: str) -> dict[str, Any]:
        """The settings given for what is fitted under a name; a rule is fitted with noise and lapses."""
        given, model = super().settings(name), self.model(name)
        noisy = model != "static-glm" and find_settings(model) is RuleSettings
        return {"noise": True, **given} if noisy else given


class FitStudy(Study):
    """Fit models to recorded behaviour."""

    kind: ClassVar[str] = "fit"

    data: Annotated[Path, BeforeValidator(beside_scenario)]
    columns: Mapping[str, str] = Field({}, description="columns of a table that have other names: quantity -> name")
    choice_left: str | None = Field(None, description="value of the choice that means left, where the data do not tell")
    future: int = Field(0, ge=0, description="last trials of each mouse that are set aside and predicted")
    folds: int = Field(0, ge=0, description="of mice, each predicted by models fitted to the others; 0: none")
    adapt: int = Field(0, ge=0, description="first sessions by which a held-out mouse's own parameters are found; 0: none")
    shuffle_rewards: bool = Field(False, description="a control: fit to rewards shuffled over the trials of each mouse")
    inference: RecordedInference

    @model_validator(mode="after")
    def _adapts_new_mice(self) -> Self:
        if self.adapt and not self.folds:
            raise ValueError(f"adapt = {self.adapt}: no mice are held out that could adapt; expected folds = 2 or more with it")
        return self

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Fit every model, and score its predictions."""
        rollout, told = with_recorded_status(formats.read(self.data, self.columns, self.choice_left))
        told += [SHUFFLED] * self.shuffle_rewards
        train, future, left_out = self._trials(shuffle_rewards(rollout, self.seed) if self.shuffle_rewards else rollout)
        if self.adapt:
            train.after_sessions(self.adapt)  # whatever mouse has too few is said before anything is fitted
        fits, failed = fit_models(self.inference, train, folder, options)
        notes = list(dict.fromkeys([*rollout.notes, *told, *left_out, *failed]))
        held_out = self._held_out(train, folder, options, notes) if self.folds else {}

        from twin.evaluation.scores import compare

        found = {name: fit for name, (fit, _) in fits.items()}
        weights = rules.weights_of(found, train)
        scores = compare(fits, train, future, held_out, weights)
        scores["models"] |= {
            name: rules.with_simulated(scores["models"][name], fit, rollout, self.seed) for name, fit in found.items()
        }
        behaved = behavior(rollout) | times_to_status(rollout)
        behaved["mice_table"] = rules.with_fits(behaved["mice_table"], train.ids, scores.pop("mouse_fits"))
        results = FitResults(**behaved, **scores, notes=notes, **self.head(folder))
        return Done(results, partial(_page, folder.path, results, rollout, train, found, weights))

    def _trials(self, rollout: Rollout) -> tuple[Trials, Trials | None, list[str]]:
        """Trials to fit and those to predict, of the mice that made choices in the former; a note for each that did not.

        Raises ValueError if no mouse made any.
        """
        every = Trials.from_rollout(rollout, self.inference.features or FEATURES)
        chose = every.mask.any(axis=1)
        every = every if chose.all() else every.of_mice(np.flatnonzero(chose))
        train, future = every.split(self.future) if self.future else (every, None)
        before = train.mask.any(axis=1)
        where = f" before its last {self.future} trials" if self.future else ""
        late = [every.ids[m] for m in np.flatnonzero(~before)]
        notes = [*rollout.silent(), *(f"mouse {mouse!r} made no choice{where}; it is left out of the fits" for mouse in late)]
        if not before.any():
            raise ValueError(f"{self.data}: none of its {len(rollout.ids)} mice made a choice{where}; there is nothing to fit")
        if not before.all():
            rows = np.flatnonzero(before)
            train, future = train.of_mice(rows), None if future is None else future.of_mice(rows)
        return train, future, notes

    def _held_out(self, trials: Trials, folder: RunFolder, options: Options, notes: list[str]) -> dict[str, dict[str, float]]:
        """Scores on new mice, of each model and of a static GLM: from the folder, or by fits to the other mice."""
        from twin.evaluation.cross_validation import held_out_scores

        scores = {}
        for name in dict.fromkeys(("static-glm", *self.inference.models)):
            kept = KeptScores(
                trials.content_hash(),
                self.inference.asked(name) | {"folds": self.folds, "seed": self.seed, "adapt": self.adapt},
            )
            model = self.inference.model(name)
            settings = self.inference.settings(name)
            score = partial(held_out_scores, trials, model, self.folds, self.seed, options.progress, self.adapt, **settings)
            try:
                scores[name] = folder.keep(f"fits/{name}/held_out.json", score, kept.read, kept.write)
            except FAILURES as error:
                notes.append(f"{name}: new mice could not be predicted ({error})")
        return scores


def _scores_text(results: FitResults) -> list[str]:
    from twin.report.html import table

    header, rows = model_table(results.table()["models"], COLUMNS)
    words = "Log-likelihoods are natural, per trial."
    if results.models["chance"].heldout_ll_per_trial is not None:
        words += " Those of new mice are of mice held out: each is predicted as the average over the mice that were fitted."
    if any(model.adapted_ll_per_trial is not None for model in results.models.values()):
        words += " Adapted: by their own parameters, which their first sessions told; beside it the same trials without."
    return [words, table(rows, header), *warning_lines(results.models)]


def _page(
    folder: Path,
    results: FitResults,
    rollout: Rollout,
    trials: Trials,
    fits: Mapping[str, Fit],
    weights: Mapping[str, np.ndarray],
) -> None:
    from twin.report import page
    from twin.report.mice import mice_text
    from twin.report.shown import Shown

    updates = rules.updates_of_first_mouse({name: fit for name, fit in fits.items() if name != "static-glm"})
    shown = Shown(results.table(), rollout, trials, weights, None, updates)
    sections: list[tuple[str, str | list[str]]] = [
        ("Scores", _scores_text(results)),
        ("Mice", mice_text(shown.results["mice_table"])),
        ("The learning rule", rules.reading_text(results.models)),
    ]
    sections += [("Weights", ""), ("Behaviour", "")]
    if results.sessions_to_status:
        sections.append(("Training status", results.status_text()))
    page.write(folder, results.scenario, sections, results.facts(), shown)
