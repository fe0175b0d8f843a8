"""What can be told of a fitted rule beside its scores, and when not to trust it: the warnings that need the rule itself.

Beyond those of `diagnostics`, which look at the choices alone:

never-visited      the rule is read where no mouse has been (`visited`): the fraction of the cells
little-memory      a rule with a memory was fitted to trials that could not tell one (`memory_lags`): twice the standard error
seeds-disagree     members of an ensemble: the spread of their updates in trials that the mice did, relative to the mean update
folds-disagree     the same of fits to the other mice of each fold, as a jackknife's standard error (`cross_validation`)
not-identified     the fraction of the mice of whom the data do not tell some parameter of the rule (`flags`)
no-spread          how many parameters of the rule are the same in all mice of a fitted population
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.rules import Rule
from twin.data.trials import Trials
from twin.evaluation.diagnostics import warnings
from twin.evaluation.flags import UNDETERMINED, UNIDENTIFIED, parameter_flags
from twin.evaluation.memory_lags import effect_by_lag, standard_error
from twin.evaluation.reading import read_rule
from twin.evaluation.recovery import STIMULI
from twin.evaluation.visited import Visits, visited_points
from twin.inference.fit import Fit

NEVER = 0.6  # of the cells; mice that learn from naive to expert leave some .4, errors at large weights
MISSED = 0.5  # of the update: an effect of past rewards that trials must be able to tell, at two standard errors
DISAGREE = 0.3  # of the update
UNKNOWN = 0.5  # of the mice
ALIKE = 0.02  # coefficient of variation over mice
LEAST_MICE = 3  # of a population whose spread is judged


def told_of(
    fit: Fit, trials: Trials, log_likelihood: np.ndarray, weights: np.ndarray | None, folds: float | None = None
) -> dict[str, Any]:
    """`warnings` by name, and of a rule that moves weights `never_visited`, `reading`, and with a memory `memory`.

    log_likelihood (M, T) and weights (M, T, K), None if they cannot be had, are those of the fit on these trials, which have
    its features in their order; `folds` is how much fits to the other mice of each fold disagree, relative to the update.
    """
    found = warnings(fit, trials, log_likelihood) | _large({"not-identified": (_unknown(fit), UNKNOWN)})
    stimulus = next((trials.features.index(name) for name in STIMULI if name in trials.features), None)
    if weights is None or stimulus is None or _static(fit) or not np.isfinite(log_likelihood).all():
        return {"warnings": found}
    never = Visits.of(trials, weights, stimulus).never
    with np.errstate(all="ignore"):
        told: dict[str, Any] = {
            "never_visited": never,
            "reading": read_rule(fit, trials, weights, log_likelihood, stimulus),
        }
        judged = {
            "never-visited": (never, NEVER),
            "seeds-disagree": (_spread(fit, trials, weights, stimulus), DISAGREE),
            "folds-disagree": (folds, DISAGREE),
            "no-spread": (_alike(fit), 0),
        }
        if remembers(fit):
            told["memory"] = effect_by_lag(fit, trials, weights, stimulus)
            missed = 2 * standard_error(fit, trials, weights, log_likelihood)
            told["memory"]["least_effect"] = missed
            judged["little-memory"] = (min(missed, np.finfo(float).max), MISSED)
    return told | {"warnings": found | _large(judged)}


def remembers(fit: Fit) -> bool:
    """Has its rule a memory of earlier trials beside the weights?"""
    if isinstance(fit.rule, Rule):
        return not fit.rule.base_rule_form
    return any(member.memory_units for member in getattr(fit, "members", (fit.rule,)))


def _static(fit: Fit) -> bool:
    return isinstance(fit.rule, Rule) and fit.rule.name == "static"


def _large(judged: dict[str, tuple[float | None, float]]) -> dict[str, float]:
    """Those numbers that are above their limits."""
    return {name: float(value) for name, (value, limit) in judged.items() if value is not None and value > limit}


def _of_rule(fit: Fit) -> list[str]:
    """Names of the fitted parameters that are of the rule or, under a network, a mouse's own scales; no traits."""
    estimates = fit.parameters()
    if not estimates:
        return []
    rule = {p.name for p in (fit.rule.parameters if isinstance(fit.rule, Rule) else fit.rule.own_parameters)}
    return [name for name in estimates if name.split(".")[0] in rule]


def _unknown(fit: Fit) -> float | None:
    """Fraction of the mice of whom some parameter of the rule is not told; None if it has none."""
    names, flags = _of_rule(fit), parameter_flags(fit)
    if not names:
        return None
    return float(np.mean([[flag in (UNDETERMINED, UNIDENTIFIED) for flag in flags[name]] for name in names], axis=1).max())


def _alike(fit: Fit) -> int | None:
    """How many parameters of the rule are the same in all mice of a population; None without a population."""
    populated = fit.settings.get("population") or fit.settings.get("individual")
    if not populated or len(fit.ids) < LEAST_MICE:
        return None
    values = [fit.parameters()[name].values for name in _of_rule(fit)]
    return sum(bool(np.std(each) <= ALIKE * np.abs(np.mean(each))) for each in values)


def _spread(fit: Fit, trials: Trials, weights: np.ndarray, column: int) -> float | None:
    """How far members of an ensemble differ in trials that the mice did, relative to their mean update; None of one rule."""
    points = visited_points(trials, weights)
    spread = fit.spread(*points)
    if spread is None:
        return None
    size = np.sqrt(np.mean(fit.update(0, *points)[:, column] ** 2))
    return float(np.sqrt(np.mean(spread[:, column] ** 2)) / size) if size else None
