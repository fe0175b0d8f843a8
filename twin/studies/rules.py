"""What results say of every fitted rule, in kinds `fit` and `recovery` alike: what it does, and what mice with it would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.report.tables import fixed
from twin.simulation.predictive import largest_difference, predictive_check
from twin.studies.models import FAILURES
from twin.studies.results import WARNINGS, Number, Record

if TYPE_CHECKING:
    from twin.inference.fit import Fit

TITLES = {
    "reward_effect": "reward effect",
    "baseline": "baseline",
    "forgetting": "forgetting",
    "side_asymmetry": "side asymmetry",
    "after_correct": "change after correct",
    "after_error": "after errors",
}


class Interval(Record):
    """A number of the rule with its 95 % interval over mice."""

    value: Number = Field(description="of all mice; null where no trial tells it")
    low: Number = Field(description="lower end of the interval, by 1,000 resamples of the mice; null of one mouse")
    high: Number = Field(description="upper end; null of one mouse")


class Reading(Record):
    """What the rule does to the stimulus weight, as the nearest rule of the REINFORCE family; see twin.evaluation.reading."""

    reward_effect: Interval = Field(description="what a reward adds to the update, relative to the gradient; a learning rate")
    baseline: Interval = Field(description="reward that is subtracted; if negative, weights shrink after errors")
    forgetting: Interval = Field(description="fraction of the weight lost in each trial")
    side_asymmetry: Interval = Field(description="update after rewarded right minus left choices, over their sum")
    after_correct: Interval = Field(description="mean change of the weight's size in correct trials, logit per unit and trial")
    after_error: Interval = Field(description="the same in errors; negative: the weight shrinks")


class Memory(Record):
    """How long the rule remembers a run of four rewarded trials, against four unrewarded ones; no lags of too short records."""

    lags: list[int] = Field([], description="trials between the run and the update")
    effect: list[Number] = Field([], description="change of the update, relative to it, by lag; null where there is none")
    low: list[Number] = Field([], description="lower end of the 95 % interval over mice; null of one mouse")
    high: list[Number] = Field([], description="upper end; null of one mouse")
    mice: int = Field(0, description="mice that were compared")
    least_effect: Number = Field(
        description="effect of past rewards on the update, relative to it, that these trials could tell (two standard errors); "
        "null: none"
    )


class SimulatedStatistic(Record):
    """A statistic of the data beside that of simulated mice; lists are by place."""

    at: list[float | str] = Field(description="places: of the record (0 to 1), contrasts (%), or kinds of trials")
    data: list[Number] = Field(description="of the data; null without choices there")
    mean: list[Number] = Field(description="mean over 20 simulated cohorts; null without choices there")
    low: list[Number] = Field(description="lower end of the 95 % range of the cohorts; null without choices there")
    high: list[Number] = Field(description="upper end; null without choices there")
    far: float = Field(
        description="largest difference of data and mean beyond 4 standard deviations and .05; 0 if there is none"
    )


class ReadModel(Record):
    """What is told of the rule of every fitted model."""

    warnings: Mapping[str, float] = Field({}, description=WARNINGS)
    never_visited: Number = Field(
        None, description="fraction of stimuli x weights x choices that no trial was in; null for models that move no weight"
    )
    reading: Reading | None = Field(None, description="what the rule does; null for models that move no weight")
    memory: Memory | None = Field(None, description="what it remembers; null for rules without a memory")
    simulated: Mapping[str, SimulatedStatistic] = Field(
        {}, description="the data beside mice with the rule that see the same stimuli; see twin.simulation.predictive"
    )


def with_simulated(model: Mapping[str, Any], fit: Fit, rollout: Rollout, seed: int) -> dict[str, Any]:
    """The table of a fitted model, with what its simulated mice do under the stimuli of a record, and the warning of it."""
    rows = [m for m, mouse in enumerate(rollout.ids) if mouse in fit.ids]
    check = predictive_check(fit, rollout if len(rows) == rollout.n_mice else rollout.select(rows), seed)
    far = largest_difference(check)
    return {**model, "simulated": check, "warnings": {**model["warnings"], **({"simulated-mice": far} if far else {})}}


def reading_lines(models: Mapping[str, Any]) -> list[str]:
    """A line for each fitted rule: its numbers with their intervals."""
    return [
        f"{name}: " + ", ".join(f"{title} {_interval(getattr(model.reading, key))}" for key, title in TITLES.items())
        for name, model in models.items()
        if model.reading is not None
    ]


def _interval(found: Interval) -> str:
    return f"{fixed(found.value, 4)} [{fixed(found.low, 4)}, {fixed(found.high, 4)}]"


def reading_text(models: Mapping[str, Any]) -> list[str]:
    """What a page says of the rules: a table of their numbers, and what was never visited."""
    from twin.report.html import table

    read: Sequence[tuple[str, Any]] = [(name, model) for name, model in models.items() if model.reading is not None]
    if not read:
        return []
    words = (
        "Each rule read as the nearest one of the REINFORCE family, of the stimulus weight: value and 95 % interval over mice. "
        "Reward effect: what a reward adds to the update. Baseline: if negative, weights shrink after errors. Changes are of "
        "the weight's size, logit per unit and trial."
    )
    header = ["model", *TITLES.values(), "never visited"]
    rows = [
        [name, *(_interval(getattr(model.reading, key)) for key in TITLES), f"{100 * model.never_visited:.0f} %"]
        for name, model in read
    ]
    lags: list[int] = next((model.memory.lags for _, model in read if model.memory is not None and model.memory.lags), [])
    remembered = [
        [name, *(f"{100 * effect:+.0f} % [{100 * low:+.0f}, {100 * high:+.0f}]" for effect, low, high in _by_lag(model.memory))]
        for name, model in read
        if model.memory is not None and None not in (*model.memory.effect, *model.memory.low)
    ]
    memory = [
        "Change of the update after four rewarded trials in a row against four unrewarded ones, by the trials between.",
        table(remembered, ["model", *(f"{lag} trials" for lag in lags)]),
    ]
    return [words, table(rows, header), *(memory if lags and remembered else [])]


def _by_lag(memory: Memory) -> Iterable[tuple[Any, ...]]:
    return zip(memory.effect, memory.low, memory.high, strict=True)


def with_fits(rows: Sequence[Mapping[str, Any]], ids: Sequence[str], fits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The table of mice with what the models make of those that were fitted, `ids`, in their order."""
    of_mouse = dict(zip(ids, fits, strict=True))
    return [{**row, **({"fits": of_mouse[row["id"]]} if row["id"] in of_mouse else {})} for row in rows]


def updates_of_first_mouse(fits: Mapping[str, Fit]) -> dict[str, Callable[..., np.ndarray]]:
    """The update of the first mouse by each fit: w, x, choice, reward -> change of its weights."""
    return {name: partial(fit.update, 0) for name, fit in fits.items()}


def weights_of(fits: Mapping[str, Fit], trials: Trials) -> dict[str, np.ndarray]:
    """Weights (M, T, K) by each fit, of those from which they can be computed."""
    weights = {}
    for name, fit in fits.items():
        with suppress(*FAILURES):
            weights[name] = fit.weights(trials)
    return weights
