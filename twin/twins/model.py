"""What a twin of a mouse is made of: its rule, the population that it is believed to be of, and the fit of both to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from scipy.special import ndtri

from agents.response import RESPONSE_TRAITS
from envs.names import suggest
from envs.table import Table
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.inference.posterior.fit import KEPT, fit_posterior
from twin.inference.posterior.known import KnownPopulation
from twin.population import find_population

ESTIMATED = "estimated"
OF_POPULATION = 2_000  # mice drawn to tell where one mouse stands among them
OBSERVED = tuple(trait.name for trait in RESPONSE_TRAITS)  # what choices say nothing of


def _beside_scenario(name: Any, info: ValidationInfo) -> Any:
    """The file of a population is looked for where the user stands, then beside the scenario."""
    if not isinstance(name, str) or name == ESTIMATED:
        return name
    path = find_population(name, (info.context or {}).get("folder"))
    return name if name == path.stem else str(path)


class TwinModel(Table):
    """The rule of the twins, and the population that says what is believed of a mouse before its trials.

    `population` is the name or file of one, which also says the rule; or "estimated": that of the mice of the record, found
    with them. What all mice of a population share is taken for known, unless `free` names it.
    """

    population: Annotated[str, BeforeValidator(_beside_scenario)] = "ibl"
    rule: str | None = Field(None, description="with population = 'estimated': the closed-form rule; default: a cohort's")
    features: tuple[str, ...] | None = Field(
        None, description="with population = 'estimated': what it sees; default: a cohort's"
    )
    free: tuple[str, ...] = Field((), description="numbers that a population's mice share, of which this mouse has its own")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        layout = self.cohort.layout
        if self.estimated:
            if self.cohort.known_rule.closed_form is None:
                raise ValueError(f"rule = {self.rule!r} is neural: twins are of closed-form rules")
            return self
        if told := [key for key in ("rule", "features") if getattr(self, key) is not None]:
            raise ValueError(
                f"{told[0]}: the population {self.population!r} says it; leave it out, or take population = 'estimated'"
            )
        varying = self.cohort.distributions()
        for name in self.free:
            columns = [layout.names[c] for c in layout.index(name)]
            if name in OBSERVED or all(column in varying for column in columns):
                free = sorted({column.split(".")[0] for column in layout.names if column not in varying} - set(OBSERVED))
                raise ValueError(suggest("free parameter that the population's mice share:", name, free))
        return self

    @property
    def estimated(self) -> bool:
        """Is the population that of the record's own mice?"""
        return self.population == ESTIMATED

    @property
    def cohort(self) -> Cohort:
        """Mice of this kind."""
        if not self.estimated:
            return Cohort(population=self.population)
        given = {"rule": self.rule, "features": self.features}
        return Cohort(**{key: value for key, value in given.items() if value is not None})


def fit_twins(
    trials: Trials, model: TwinModel, others: RuleFit | None = None, done: Callable[[], None] = lambda: None
) -> RuleFit:
    """The posterior of a mouse by its trials, with its draws; the noise of weights is filtered.

    Under a known population, what varies over its mice is inferred. An estimated one is that of `others` (`fit_others`), noise
    and lapses too; of a mouse that is alone it is what is believed of any mouse. `done()` is called now and then.
    """
    cohort = model.cohort
    if others is not None:
        return others.adapted(trials)
    if model.estimated:
        found = fit(trials, cohort.rule, noise=True)
        assert isinstance(found, RuleFit)
        return found
    coordinates = known_population(cohort, model.free)
    settings = {"free": [one.name for one in coordinates.each], "fixed": {}, "bounds": {}, "population": False, "noise": True}
    name = cohort.rule
    found = fit_posterior(trials, coordinates, False, name, settings, done, coordinates.before)
    assert found.draws is not None
    new_mice = cohort.theta(0, KEPT).astype(np.float32).astype(float)
    return replace(found, draws=found.draws._replace(new_mice=new_mice), data_hash=trials.content_hash())


def fit_others(rollout: Rollout, mouse: str, model: TwinModel) -> RuleFit | None:
    """The other mice of a record as of one population; None of a mouse that is alone, or where the population is known."""
    rows = [m for m, name in enumerate(rollout.ids) if name != mouse and (rollout.choice[rollout.of_mouse(m)] >= 0).any()]
    if not model.estimated or not rows:
        return None
    cohort = model.cohort
    found = fit(Trials.from_rollout(rollout.select(rows), cohort.features), cohort.rule, noise=True, population=True)
    assert isinstance(found, RuleFit)
    return found


def known_population(cohort: Cohort, free: tuple[str, ...] = ()) -> KnownPopulation:
    """What choices can tell of the mice of a cohort: columns of theta that vary over them, and those named in `free`."""
    layout, varying = cohort.layout, cohort.distributions()
    base = cohort.theta(0, 1)[0]
    own = {c for name in free for c in layout.index(name)}
    columns = [c for c, name in enumerate(layout.names) if name not in OBSERVED and (name in varying or c in own)]
    pairs = {(a, b): r for a, row in cohort.correlation.items() for b, r in row.items()}
    pairs |= {(b, a): r for (a, b), r in pairs.items()}
    return KnownPopulation(layout, base, columns, varying, pairs)


def population_share(found: RuleFit, mouse: int) -> dict[str, float]:
    """How much of what is said of each parameter of a mouse is the population's, 0 to 1, by column.

    The variance that is left of the one in the population, on the scale of normal scores: with a share s after n trials, the
    population counts as much as n s / (1 - s) trials of the mouse itself.
    """
    assert found.draws is not None
    shares = {}
    for c, name in enumerate(found.layout.names):
        among = np.sort(found.draws.new_mice[:, c])
        if np.isnan(found.ci95[mouse, c]).all() or among[0] == among[-1]:
            continue
        ranks = np.searchsorted(among, found.draws.theta[mouse, :, c]) + 0.5
        shares[name] = min(1.0, float(ndtri(np.clip(ranks / (len(among) + 1), 0.002, 0.998)).var()))
    return shares


def worth_in_trials(shares: dict[str, float], trials: int) -> float:
    """How many trials of the mouse the population is worth, over all parameters; infinite where trials say nothing yet."""
    share = float(np.mean(list(shares.values()))) if shares else 0.0
    return trials * share / (1.0 - share) if share < 1.0 else float("inf")
