"""Kind `fit`: fit models to recorded behaviour and see how well they predict it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, FiniteFloat, ValidationError, ValidationInfo

from envs.table import Table, explain
from twin.data import formats
from twin.data.files import replace_file, said_of
from twin.data.rollout import Rollout
from twin.data.store import versions
from twin.data.trials import Trials
from twin.evaluation.performance import behavior
from twin.report.tables import model_table, text_table
from twin.studies.folder import RunFolder
from twin.studies.results import BehaviorResults, Number, Pair, Record
from twin.studies.study import Done, Options, Study
from twin.studies.table import Inference

if TYPE_CHECKING:
    from twin.inference.fit import Fit  # torch is loaded once there is something to fit

FEATURES = ("stimulus", "bias")  # of models that are not told others
COLUMNS = {
    "log-lik/trial fitted": ("train_ll_per_trial", 1.0),
    "log-lik/trial later": ("future_ll_per_trial", 1.0),
    "log-lik/trial new mice": ("heldout_ll_per_trial", 1.0),
    "se": ("heldout_se", 1.0),
    "accuracy": ("accuracy", 1.0),
    "seconds": ("seconds", 1.0),
}


class FittedModel(Record):
    """How well a model predicts choices; log-likelihoods are natural, per trial with a choice."""

    train_ll_per_trial: Number = Field(description="log-likelihood of the trials it was fitted to")
    accuracy: Number = Field(None, description="fraction of choices given more than 1/2, of later trials, else of fitted")
    seconds: Number = Field(None, description="that fitting took; 0 of a static GLM that is fitted for comparison alone")
    heldout_ll_per_trial: Number = Field(None, description="log-likelihood of mice it was not fitted to; with `folds`")
    heldout_se: Number = Field(None, description="standard error of that over mice")
    future_ll_per_trial: Number = Field(None, description="log-likelihood of the trials that were set aside; with `future`")


class ModelComparison(Pair):
    """Two models on the later trials, else on those they were fitted to."""

    difference: Number = Field(description="log-likelihood per trial of a minus that of b")
    p: Number = Field(description="two-sided p of no difference, from sums over blocks of 50 trials")


class FitResults(BehaviorResults):
    """How mice perform, and how well models predict them."""

    models: Mapping[str, FittedModel] = Field(description="by model, `chance` among them")
    comparisons: Sequence[ModelComparison] = Field(description="of every two models but chance")

    def summary(self) -> str:
        """How the mice did, and the table of the models."""
        return "\n".join([super().summary(), "", *text_table(*model_table(self.table()["models"], COLUMNS))])


def _beside_scenario(path: Any, info: ValidationInfo) -> Any:
    """A relative path is looked for where the user stands, then beside the scenario."""
    if not isinstance(path, str):
        return path
    here = Path(path)
    folder = (info.context or {}).get("folder", Path())
    return (here if here.exists() else folder / here).resolve()


class FitStudy(Study):
    """Fit models to recorded behaviour."""

    kind: ClassVar[str] = "fit"

    data: Annotated[Path, BeforeValidator(_beside_scenario)]
    future: int = Field(0, ge=0, description="last trials of each mouse that are set aside and predicted")
    folds: int = Field(0, ge=0, description="of mice, each predicted by models fitted to the others; 0: none")
    inference: Inference

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Fit every model, and score its predictions."""
        rollout = formats.read(self.data)
        everything = Trials.from_rollout(rollout, self.inference.features or FEATURES)
        train, future = everything.split(self.future) if self.future else (everything, None)
        fits = fit_models(self.inference, train, folder, options)
        held_out = self._held_out(train, folder, options) if self.folds else {}

        from twin.evaluation.scores import compare

        scores = compare(fits, train, future, held_out)
        results = FitResults(**behavior(rollout), **scores, **self.head(folder))
        return Done(
            results, partial(_page, folder.path, results, rollout, train, {name: fit for name, (fit, _) in fits.items()})
        )

    def _held_out(self, trials: Trials, folder: RunFolder, options: Options) -> dict[str, dict[str, float]]:
        """Each model's score on mice it was not fitted to, from the folder or by fitting to the others."""
        from twin.evaluation.cross_validation import held_out_scores

        scores = {}
        for name in self.inference.models:
            kept = _KeptScores(trials.content_hash(), self.inference.asked(name) | {"folds": self.folds, "seed": self.seed})
            model = self.inference.model(name)
            settings = self.inference.settings(name)
            score = partial(held_out_scores, trials, model, self.folds, self.seed, options.progress, **settings)
            scores[name] = folder.keep(f"fits/{name}/held_out.json", score, kept.read, kept.write)
        return scores


def fit_models(
    inference: Inference, trials: Trials, folder: RunFolder, options: Options, known: np.ndarray | None = None
) -> dict[str, tuple[Fit, float]]:
    """Every model's fit and the seconds it took, from the folder or fitted to the trials.

    `known` are the mice's first weights (M, K), which only simulated mice tell.
    """
    from twin.inference.card import load_fit, read_card
    from twin.inference.fit import fit

    data_hash = trials.content_hash()

    def fitted(name: str) -> tuple[Fit, float]:
        started = time.perf_counter()
        settings = inference.settings(name)
        done = fit(trials, inference.model(name), initial_weights=known, progress=options.progress, **settings)
        return done, time.perf_counter() - started

    def read(name: str, card: Path) -> tuple[Fit, float]:
        kept = read_card(card.parent)
        if kept.data_hash != data_hash:
            raise ValueError("it is of other data")
        if kept.asked != inference.asked(name):
            raise ValueError("it is of another model or other settings")
        return load_fit(card.parent), kept.seconds or 0.0

    def write(name: str, done: tuple[Fit, float], card: Path) -> None:
        about = {"seconds": done[1], "trials": int(trials.mask.sum()), "asked": inference.asked(name), "versions": versions()}
        done[0].save(card.parent, about)

    def kept(name: str) -> tuple[Fit, float]:
        return folder.keep(f"fits/{name}/card.json", partial(fitted, name), partial(read, name), partial(write, name))

    return {name: kept(name) for name in inference.models}


class _Scores(Table):
    """What a file of scores holds."""

    data_hash: str
    asked: dict[str, Any]
    scores: dict[str, FiniteFloat]


class _KeptScores(NamedTuple):
    """Scores in a file, bound to the content of the trials that were scored, and to what was asked."""

    data_hash: str
    asked: dict[str, Any]

    def read(self, path: Path) -> dict[str, float]:
        """The scores of a file. Raises ValueError if they are of other data or settings."""
        with said_of(path):
            content = path.read_bytes()
        try:
            kept = _Scores.model_validate_json(content)
        except ValidationError as error:
            raise ValueError(f"{path}: {explain(_Scores, error)}") from None
        if kept.data_hash != self.data_hash:
            raise ValueError("it is of other data")
        if kept.asked != self.asked:
            raise ValueError("it is of another model or other settings")
        return kept.scores

    def write(self, scores: dict[str, float], path: Path) -> None:
        """Put scores into a file, in one step."""
        replace_file(path, json.dumps(self._asdict() | {"scores": scores}).encode())


def _scores_text(results: FitResults) -> list[str]:
    from twin.report.html import table

    header, rows = model_table(results.table()["models"], COLUMNS)
    return ["Log-likelihoods are natural, per trial.", table(rows, header)]


def updates_of_first_mouse(fits: Mapping[str, Fit]) -> dict[str, Callable[..., np.ndarray]]:
    """The update of the first mouse by each fit: w, x, choice, reward -> change of its weights."""
    return {name: partial(fit.update, 0) for name, fit in fits.items()}


def _page(folder: Path, results: FitResults, rollout: Rollout, trials: Trials, fits: Mapping[str, Fit]) -> None:
    from twin.report import page
    from twin.report.shown import Shown

    weights = {name: fit.weights(trials) for name, fit in fits.items()}
    updates = updates_of_first_mouse({name: fit for name, fit in fits.items() if name != "static-glm"})
    shown = Shown(results.table(), rollout, trials, weights, None, updates)
    sections = [("Scores", _scores_text(results)), ("The learning rule", ""), ("Weights", ""), ("Behaviour", "")]
    page.write(folder, results.scenario, sections, results.facts(), shown)
