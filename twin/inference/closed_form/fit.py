"""Fitting a closed-form rule: each mouse by itself, or every mouse as one of a population.

Alone, a mouse's parameters maximise its likelihood (`optimum`). As one of a population they maximise it times a
normal prior over mice, in unconstrained space, whose mean and variance are estimated from all mice by EM with Laplace's
approximation (empirical Bayes): what a single mouse does not tell (its baseline, say) is then taken from the others, as far as
it does not tell.

With `noise`, weights that also move at random: the likelihood is that of `filtering`, and the noise levels are fitted too. One
mouse of a few thousand trials says little of its noise, and the estimate is often 0: of 80 mice (2,500 trials, rate a = 2^-4
after left and after right free, noise a / 2) the intervals of the noise covered it in 68, those of the rates in 125 of 160.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from agents.features import feature_codes
from agents.parameters import Parameter
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.closed_form.optimum import Optimum, Prior, Problem, inverse
from twin.inference.closed_form.rule_fit import RuleFit, likelihood_of

RATE_STARTS = (0.03, 0.003)  # the two ends of the literature's range of learning rates (Ashwood 2020; Geadah & Pillow 2025)
EM_STEPS = 8
START_INSIDE = 0.05  # of the way between its bounds: where a parameter begins whose start is on a bound or beyond
SMALLEST_VARIANCE = 1e-4  # over mice, in unconstrained space: a parameter that is the same in all
NOISE_STARTS = ({"trial_noise": 0.01, "day_noise": 0.1}, {"trial_noise": 0.05, "day_noise": 0.3})


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
    layout = Layout(rule, trials.features)
    feature_codes(trials.features)
    levels = ["trial_noise", *(["day_noise"] if trials.new_session[:, 1:].any() else [])] if noise else []
    bounded = layout.within(bounds or {})
    base, columns = _start(bounded, [*(free or ()), *levels], fixed or {})
    for bound in bounds or {}:  # not `name`, which is the fit's
        if not set(layout.index(bound)) & set(columns):
            raise ValueError(f"bounds of {bound!r}, which is not fitted; name it in `free`, or leave out its bounds")

    problems = [Problem(likelihood_of(noise)(trials, m, bounded), base, columns) for m in range(len(trials.ids))]
    optima = []
    for mouse, problem in enumerate(problems):
        optima.append(_alone(problem))
        done(mouse)
    if population:
        problems, optima = _as_population(problems, optima)
    ci95 = np.full((len(problems), len(base), 2), np.nan)
    for mouse, (problem, best) in enumerate(zip(problems, optima, strict=True)):
        for j, (column, parameter) in enumerate(zip(columns, problem.parameters, strict=True)):
            ci95[mouse, column] = [parameter.natural(problem.interval_end(best, j, sign)) for sign in (-1, 1)]
        done(mouse)
    theta = np.array([best.theta for best in optima])
    nll = np.array([-p.likelihood.log_likelihood(t).sum() for p, t in zip(problems, theta, strict=True)])
    converged = np.array([best.converged for best in optima])
    settings = {"free": [layout.names[c] for c in columns], "fixed": fixed or {}, "population": population, "noise": noise}
    settings |= {"bounds": {name: list(ends) for name, ends in (bounds or {}).items()}}
    return RuleFit(layout, theta, ci95, nll, converged, trials.ids, name or rule.name, settings)


def _alone(problem: Problem) -> Optimum:
    """The best of some starts, at either end of the range of learning rates and of noise."""
    columns = list(zip(problem.columns, problem.parameters, strict=True))
    rates = [c for c, p in columns if "rate" in p.name]
    noises = [(c, p.name) for c, p in columns if p.name in NOISE_STARTS[0]]
    optima = []
    for rate, noise in zip(RATE_STARTS, NOISE_STARTS, strict=True):
        start = problem.base.copy()
        start[rates] = rate
        for column, name in noises:
            start[column] = noise[name]
        for c, p in columns:
            start[c] = _off_bounds(p, start[c])
        optima.append(problem.maximise(problem.free(start)))
        if not rates and not noises:
            break
    return min(optima, key=lambda o: o.nll)


def _off_bounds(parameter: Parameter, value: float) -> float:
    """Where to begin: on a bound the likelihood is flat in unconstrained space, and there is no way to go."""
    low, high = parameter.low, parameter.high
    if parameter.transform == "identity" or low < value < high:
        return value
    margin = START_INSIDE * (high - low if np.isfinite(high) else 1.0)
    return float(np.clip(value, low + margin, high - margin))


def _as_population(problems: list[Problem], optima: list[Optimum]) -> tuple[list[Problem], list[Optimum]]:
    """The same mice under a common prior, estimated by EM from where each is alone (medians first: some are at a bound)."""
    free = np.array([o.free for o in optima])
    mean = np.median(free, axis=0)
    variance = (1.4826 * np.median(np.abs(free - mean), axis=0)) ** 2
    for _ in range(EM_STEPS):
        prior = Prior(mean, 1 / np.maximum(variance, SMALLEST_VARIANCE))
        problems = [Problem(p.likelihood, p.base, p.columns, prior) for p in problems]
        optima = [p.maximise(prior.mean, inverse(p.evaluate(prior.mean)[1].information)) for p in problems]
        free = np.array([o.free for o in optima])
        uncertain = np.array([np.diag(inverse(o.information)) for o in optima])
        mean, variance = free.mean(axis=0), (free.var(axis=0) + uncertain.mean(axis=0))
    return problems, optima


def _start(layout: Layout, free: Sequence[str] | None, fixed: dict[str, float]) -> tuple[np.ndarray, list[int]]:
    """Natural starting values (P,), and the columns to be fitted."""
    base = layout.defaults()
    names = [*(p.name for p in layout.rule.parameters), "initial_weight", *(free or ())]
    columns = {c for name in names for c in layout.index(name)}
    for name, value in fixed.items():
        for c in layout.index(name):
            list(layout.columns.values())[c].check(value)
            base[c] = value
            columns.discard(c)
    return base, sorted(columns)
