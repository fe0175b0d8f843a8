"""Fitting a closed-form rule: each mouse by itself, or every mouse as one of a population, with or without noise.

With `noise`, weights also move at random and mice lapse: `twin.inference.posterior`. Without, the likelihood has exact
derivatives and is maximised (`optimum`); as one of a population, a mouse's parameters maximise it times a normal prior over
mice, in unconstrained space, whose mean and variance are estimated from all mice by EM with Laplace's approximation (empirical
Bayes): parameters that one mouse's choices constrain poorly (its baseline, say) shrink towards the population.

Mice are fitted side by side on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from agents.parameters import Parameter
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.engine import JobPool, job_pool
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.closed_form.optimum import FARTHEST, TOLERANCE, Optimum, Prior, Problem, inverse
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.posterior.coordinates import Coordinates
from twin.inference.posterior.expectation import rounds
from twin.inference.posterior.fit import fit_posterior
from twin.inference.posterior.mouse import Normal

Result = TypeVar("Result")

RATE_STARTS = (0.03, 0.003)  # the two ends of the literature's range of learning rates (Ashwood 2020; Geadah & Pillow 2025)
START_INSIDE = 0.05  # of the way between its bounds: where a parameter begins whose start is on a bound or beyond
EM_STEPS = 8
EM_TOLERANCE = 0.03  # of the gradient in all steps but the last, whose optima are handed on
FIRST_TOLERANCE = 0.1  # of the gradient in fits that only tell where a population begins
SD_95 = 1.96  # standard deviations from the middle of a normal 95 % interval to its end
LEAST_SD = 1e-3  # of coordinates over a population: what is the same in all mice
SMALLEST_VARIANCE = 1e-4  # over mice, in unconstrained space: a parameter that is the same in all


def fit_rule(
    trials: Trials,
    rule: Rule,
    *,
    free: Sequence[str] | None = None,
    fixed: dict[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    population: bool = False,
    noise: bool = False,
    name: str | None = None,
    done: Callable[[], None] = lambda: None,
) -> RuleFit:
    """Fit every mouse, by itself or (`population`) as one of a population.

    Free by default: the rule's parameters and the initial weights; with `noise`, also the noise of the weights after each trial
    and, where a mouse has more than one session, between sessions, and lapses. `fixed` gives parameters known values; `free`
    names others to fit. `bounds` keeps some within narrower bounds than their own: {"baseline": (0, 0.5)}, not negative.
    `done()` is called `fit_steps(mice, noise)` times. Raises ValueError naming a parameter that is unknown, or whose value or
    bounds are not within its own bounds.
    """
    layout = Layout(rule, trials.features)
    asked, stable = bounds or {}, {} if noise else {p.name: p.stable for p in rule.parameters if p.stable}
    bounds = stable | dict(asked)
    more = [*(free or ()), *(noise_columns(trials) if noise else ())]
    bounded = layout.within(bounds)
    base, columns = _start(bounded, more, fixed or {})
    for bound in asked:
        if not set(layout.index(bound)) & set(columns):
            raise ValueError(f"bounds of {bound!r}, which is not fitted; name it in `free`, or leave out its bounds")
    settings = {"free": [layout.names[c] for c in columns], "fixed": fixed or {}, "population": population, "noise": noise}
    settings |= {"bounds": {bound: list(ends) for bound, ends in bounds.items()}}
    if noise and columns:
        return fit_posterior(trials, Coordinates(bounded, base, columns), population, name or rule.name, settings, done)
    likelihoods = [MouseLikelihood(trials, m, bounded) for m in range(len(trials.ids))]
    return _most_likely(trials, [Problem(one, base, columns) for one in likelihoods], name or rule.name, settings, done)


def fit_steps(mice: int, noise: bool) -> int:
    """How often `fit_rule` calls `done`."""
    return rounds() if noise else 2 * mice


def noise_columns(trials: Trials) -> list[str]:
    """What is fitted with noise: that between sessions only where some mouse has more than one."""
    nights = ["day_noise"] if trials.new_session[:, 1:].any() else []
    return ["trial_noise", *nights, "lapse_low", "lapse_high"]


def adapt_rule(known: RuleFit, trials: Trials) -> RuleFit:
    """The rule of a fit for other mice, by their own trials, each as one of the population of the mice that were fitted."""
    bounds = {name: (low, high) for name, (low, high) in known.settings.get("bounds", {}).items()}
    layout, base = known.layout.within(bounds), known.theta[0]
    columns = [c for c in range(len(base)) if not np.isnan(known.ci95[:, c]).all()]
    if known.draws is not None:
        coordinates = Coordinates(layout, base, columns)
        u = coordinates.of(known.draws.new_mice)
        before = Normal(u.mean(axis=0), np.maximum(u.std(axis=0), LEAST_SD))
        found = fit_posterior(trials, coordinates, False, known.model, known.settings, lambda: None, before)
        assert found.draws is not None
        return replace(found, draws=found.draws._replace(new_mice=known.draws.new_mice))
    likelihoods = [MouseLikelihood(trials, m, layout) for m in range(len(trials.ids))]
    prior = _population_of(known, Problem(likelihoods[0], base, columns))
    problems = [Problem(one, base, columns, prior) for one in likelihoods]
    return _most_likely(trials, problems, known.model, known.settings, lambda: None)


def _population_of(known: RuleFit, problem: Problem) -> Prior:
    """The population that fitted mice are from: means, and variances of what was found and of what is open of each mouse."""
    free = np.array([problem.free(theta) for theta in known.theta])
    ends = np.array([[problem.free(end) for end in both.T] for both in np.where(np.isnan(known.ci95), 0.0, known.ci95)])
    ends = np.clip(ends, free[:, None] - FARTHEST, free[:, None] + FARTHEST)
    open_of_each = ((ends[:, 1] - ends[:, 0]) / (2 * SD_95)) ** 2 if known.settings["population"] else np.zeros_like(free)
    variance = free.var(axis=0) + open_of_each.mean(axis=0)
    return Prior(free.mean(axis=0), 1 / np.maximum(variance, SMALLEST_VARIANCE))


def _most_likely(
    trials: Trials, problems: list[Problem], name: str, settings: dict[str, Any], done: Callable[[], None]
) -> RuleFit:
    """The maximum of the likelihood, or of the posterior under a population, with profile intervals.

    The population is that of these mice, unless the problems have a prior already.
    """
    layout, columns = Layout(problems[0].likelihood.layout.rule, trials.features), problems[0].columns
    with job_pool("threads", jobs=len(problems)) as pool:
        if prior := problems[0].prior:
            begun = [_Begun(problem, prior.mean) for problem in problems]
            optima = _counted(pool.each(partial(_settle, tolerance=TOLERANCE), begun), done)
        elif settings["population"]:
            problems, optima = _as_population(problems, pool, done)
        else:
            optima = _counted(pool.each(_alone, problems), done)
        intervals = _counted(pool.each(_intervals, list(zip(problems, optima, strict=True))), done)
    theta = np.array([best.theta for best in optima])
    ci95 = np.full((*theta.shape, 2), np.nan)
    ci95[:, columns] = intervals
    nll = np.array([-p.likelihood.log_likelihood(t).sum() for p, t in zip(problems, theta, strict=True)])
    converged = np.array([best.converged for best in optima])
    return RuleFit(layout, theta, ci95, nll, converged, trials.ids, name, settings)


def _counted(results: Iterator[Result], done: Callable[[], None]) -> list[Result]:
    """Results for all mice, telling `done` of each as it comes."""
    every = []
    for result in results:
        every.append(result)
        done()
    return every


def _starts(problem: Problem) -> list[np.ndarray]:
    """Unconstrained values (F,) to begin from: either end of the range of learning rates, or the only one."""
    columns = list(zip(problem.columns, problem.parameters, strict=True))
    starts = []
    for rate in RATE_STARTS:
        start = problem.base.copy()
        for c, p in columns:
            start[c] = _off_bounds(p, rate if "rate" in p.name else start[c])
        starts.append(problem.free(start))
    return starts[:1] if np.array_equal(starts[0], starts[1]) else starts


def _alone(problem: Problem) -> Optimum:
    """The best of all starts."""
    return min((problem.maximise(start) for start in _starts(problem)), key=lambda o: o.nll)


def _roughly(problem: Problem) -> np.ndarray:
    """About where a mouse's likelihood is highest (F,), by way of the most likely start."""
    start = min(_starts(problem), key=lambda free: problem.evaluate(free)[1].nll)
    return problem.maximise(start, FIRST_TOLERANCE).free


def _off_bounds(parameter: Parameter, value: float) -> float:
    """Where to begin: on a bound the likelihood is flat in unconstrained space, and there is no way to go."""
    low, high = parameter.low, parameter.high
    if parameter.transform == "identity" or low < value < high:
        return value
    margin = START_INSIDE * (high - low if np.isfinite(high) else 1.0)
    return float(np.clip(value, low + margin, high - margin))


def _intervals(fitted: tuple[Problem, Optimum]) -> np.ndarray:
    """Natural ends (F, 2) of the intervals of one mouse's parameters."""
    problem, best = fitted
    ends = [[problem.interval_end(best, j, sign) for sign in (-1, 1)] for j in range(len(problem.columns))]
    parameters = problem.parameters
    return np.array([[p.natural(end) for end in both] for p, both in zip(parameters, ends, strict=True)]).reshape(-1, 2)


class _Begun(NamedTuple):
    """A mouse's problem and where the optimiser begins."""

    problem: Problem
    free: np.ndarray  # (F,)


def _settle(begun: _Begun, tolerance: float) -> Optimum:
    """The optimum near a start that is near already: the information there is a good guess of the covariance."""
    return begun.problem.maximise(begun.free, tolerance, scaled=True)


def _as_population(problems: list[Problem], pool: JobPool, done: Callable[[], None]) -> tuple[list[Problem], list[Optimum]]:
    """The same mice under a common prior, estimated by EM from where each is alone (medians first: some are at a bound).

    The first step looks for each mouse's optimum from the prior's mean, where a fit alone may have gone astray; the others
    from the optimum before.
    """
    free = np.array(_counted(pool.each(_roughly, problems), done))
    mean = np.median(free, axis=0)
    variance = (1.4826 * np.median(np.abs(free - mean), axis=0)) ** 2
    free = np.tile(mean, (len(problems), 1))
    for step in range(EM_STEPS):
        prior = Prior(mean, 1 / np.maximum(variance, SMALLEST_VARIANCE))
        problems = [replace(problem, prior=prior) for problem in problems]
        settle = partial(_settle, tolerance=EM_TOLERANCE if step < EM_STEPS - 1 else TOLERANCE)
        optima = list(pool.each(settle, [_Begun(*begun) for begun in zip(problems, free, strict=True)]))
        free = np.array([o.free for o in optima])
        uncertain = np.array([np.diag(inverse(o.information)) for o in optima])
        mean, variance = free.mean(axis=0), (free.var(axis=0) + uncertain.mean(axis=0))
    return problems, optima


def _start(layout: Layout, free: Sequence[str], fixed: Mapping[str, float]) -> tuple[np.ndarray, list[int]]:
    """Natural starting values (P,), and the columns to be fitted."""
    base = layout.defaults()
    names = [*(p.name for p in layout.rule.parameters), "initial_weight", *free]
    columns = {c for name in names for c in layout.index(name)}
    for name, value in fixed.items():
        for c in layout.index(name):
            list(layout.columns.values())[c].check(value)
            base[c] = value
            columns.discard(c)
    return base, sorted(columns)
