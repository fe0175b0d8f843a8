"""Fitting a closed-form rule: each mouse by itself, or every mouse as one of a population.

Alone, a mouse's parameters maximise its likelihood (`optimum`). As one of a population they maximise it times a
normal prior over mice, in unconstrained space, whose mean and variance are estimated from all mice by EM with Laplace's
approximation (empirical Bayes): parameters that one mouse's choices constrain poorly (its baseline, say) shrink towards the
population.

With `noise`, weights that also move at random: the likelihood is that of `noise.assumed_density`, and the noise levels are
fitted too. Mice are fitted side by side on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from agents.parameters import Parameter
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.engine import JobPool, job_pool
from twin.inference.closed_form.optimum import TOLERANCE, Optimum, Prior, Problem, inverse
from twin.inference.closed_form.rule_fit import RuleFit, likelihood_of

Result = TypeVar("Result")

RATE_STARTS = (0.03, 0.003)  # the two ends of the literature's range of learning rates (Ashwood 2020; Geadah & Pillow 2025)
NOISE_STARTS = ({"trial_noise": 0.01, "day_noise": 0.1}, {"trial_noise": 0.05, "day_noise": 0.3})
START_INSIDE = 0.05  # of the way between its bounds: where a parameter begins whose start is on a bound or beyond
EM_STEPS = 8
EM_TOLERANCE = 0.03  # of the gradient in all steps but the last, whose optima are handed on
FIRST_TOLERANCE = 0.1  # of the gradient in fits that only tell where a population begins
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
    done: Callable[[int], None] = lambda mouse: None,
) -> RuleFit:
    """Fit every mouse, by itself or (`population`) as one of a population.

    Free by default: the rule's parameters and the initial weights. `fixed` gives parameters known values; `free` names
    others to fit (lapses, for instance). `bounds` keeps some within narrower bounds than their own: {"baseline": (0, 0.5)}, not
    negative. `noise` fits the noise of the weights after each trial and, where mice have more than one session, between
    sessions. `done(mouse)` is called twice for each mouse. Raises ValueError naming a parameter that is unknown, or whose value
    or bounds are not within its own bounds.
    """
    problems = _problems(trials, Layout(rule, trials.features), free or (), fixed or {}, bounds or {}, noise)
    with job_pool("threads", jobs=len(problems)) as pool:
        if population:
            problems, optima = _as_population(problems, pool, done)
        else:
            optima = _counted(pool.each(_alone, problems), done)
        intervals = _counted(pool.each(_intervals, list(zip(problems, optima, strict=True))), done)
    layout, columns = Layout(rule, trials.features), problems[0].columns
    theta = np.array([best.theta for best in optima])
    ci95 = np.full((*theta.shape, 2), np.nan)
    ci95[:, columns] = intervals
    nll = np.array([-p.likelihood.log_likelihood(t).sum() for p, t in zip(problems, theta, strict=True)])
    converged = np.array([best.converged for best in optima])
    settings = {"free": [layout.names[c] for c in columns], "fixed": fixed or {}, "population": population, "noise": noise}
    settings |= {"bounds": {name: list(ends) for name, ends in (bounds or {}).items()}}
    return RuleFit(layout, theta, ci95, nll, converged, trials.ids, name or rule.name, settings)


def _problems(
    trials: Trials,
    layout: Layout,
    free: Sequence[str],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    noise: bool,
) -> list[Problem]:
    """What is to be maximised for each mouse."""
    levels = ["trial_noise", *(["day_noise"] if trials.new_session[:, 1:].any() else [])] if noise else []
    bounded = layout.within(bounds)
    base, columns = _start(bounded, [*free, *levels], fixed)
    for name in bounds:
        if not set(layout.index(name)) & set(columns):
            raise ValueError(f"bounds of {name!r}, which is not fitted; name it in `free`, or leave out its bounds")
    likelihoods = [likelihood_of(noise)(trials, m, bounded) for m in range(len(trials.ids))]
    return [Problem(likelihood, base, columns) for likelihood in likelihoods]


def _counted(results: Iterator[Result], done: Callable[[int], None]) -> list[Result]:
    """Results for all mice, telling `done` of each as it comes."""
    every = []
    for mouse, result in enumerate(results):
        every.append(result)
        done(mouse)
    return every


def _starts(problem: Problem) -> list[np.ndarray]:
    """Unconstrained values (F,) to begin from: either end of the range of learning rates and of noise, or the only one."""
    columns = list(zip(problem.columns, problem.parameters, strict=True))
    starts = []
    for rate, noise in zip(RATE_STARTS, NOISE_STARTS, strict=True):
        start = problem.base.copy()
        for c, p in columns:
            value = rate if "rate" in p.name else noise.get(p.name, start[c])
            start[c] = _off_bounds(p, value)
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


def _as_population(problems: list[Problem], pool: JobPool, done: Callable[[int], None]) -> tuple[list[Problem], list[Optimum]]:
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
