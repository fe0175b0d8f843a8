"""Maximum likelihood of a closed-form rule, each mouse by itself, by BFGS in unconstrained space.

BFGS with a dense Hessian suits a handful of parameters. Scoring by the Fisher information, tried in its place, halts far from
the maximum on real mice, for whom no rule is quite true; L-BFGS-B jumps into regions where the recurrence is chaotic (rewards
below the baseline make it expand) and does not come back.

Confidence intervals are profile-likelihood intervals (Venzon & Moolgavkar 1988, J R Stat Soc C 37:87): where the other
parameters, fitted anew, cannot keep the log-likelihood within half the 95 % quantile of chi-square of its maximum. The
likelihood of a learning rule is far from quadratic (the baseline leaves the expected update as it is), and intervals from the
information alone cover too seldom. An end the data do not determine is the parameter's bound.

With `noise`, weights that also move at random: the likelihood is that of `filtering`, and the noise levels are fitted too. One
mouse of a few thousand trials says little of its noise, and the estimate is often 0: of 80 mice (2,500 trials, rate a = 2^-4
after left and after right free, noise a / 2) the intervals of the noise covered it in 68, those of the rates in 125 of 160.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from agents.features import feature_codes
from agents.learning import BatchRule
from agents.parameters import Parameter
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.filtering import FilteredLikelihood
from twin.inference.likelihood import STEP, Evaluation, MouseLikelihood
from twin.inference.linearised import smooth_rule

CHI2_95 = 3.841458820694124  # 95 % quantile of chi-square with one degree of freedom
RATE_STARTS = (0.03, 0.003)  # the two ends of the literature's range of learning rates (Ashwood 2020; Geadah & Pillow 2025)
NOISE_STARTS = ({"trial_noise": 0.01, "day_noise": 0.1}, {"trial_noise": 0.05, "day_noise": 0.3})
PROFILE_STEPS, PROFILE_TOLERANCE = 8, 0.1  # of the search for an interval's end; tolerance in units of chi-square
ITERATIONS = 100
FARTHEST = 20.0  # in unconstrained space: where a bound is as good as reached
TOLERANCE = 1e-3  # of the gradient of the log-likelihood over unconstrained values, where a gain of 2 is one standard error
STEEP = 1e12  # stands for a likelihood of zero, where a step of the optimiser went astray


@dataclass(frozen=True)
class RuleFit:
    """A closed-form rule fitted to each of M mice."""

    layout: Layout
    theta: np.ndarray  # (M, P) natural units
    ci95: np.ndarray  # (M, P, 2); NaN for parameters that were not fitted
    nll: np.ndarray  # (M,) on the trials fitted
    converged: np.ndarray  # (M,) bool
    ids: tuple[str, ...]
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The rule that was fitted."""
        return self.layout.rule

    @property
    def noise(self) -> bool:
        """Whether weights also move at random."""
        return bool(self.settings.get("noise", False))

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice given those before it, (M, T), 0 where no trial counts."""
        out, likelihood = np.zeros(trials.choice.shape), likelihood_of(self.noise)
        for m in range(len(out)):
            out[m, : trials.lengths[m]] = likelihood(trials, m, self.layout).log_likelihood(self.theta[m])
        return out

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K); NaN beyond a mouse's last trial.

        With noise, the most probable ones given all choices, later ones too.
        """
        out = np.full(trials.x.shape, np.nan)
        for m in range(len(out)):
            if self.noise:
                path = smooth_rule(trials, m, self.layout, self.theta[m]).path
            else:
                path = MouseLikelihood(trials, m, self.layout).run(self.theta[m])[0].real
            out[m, : trials.lengths[m]] = path
        return out

    def update(self, mouse: int, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        """Change of the weights (N, K) by single trials of one mouse that remembers none before; w, x (N, K), the others (N,)."""
        return rule_update(self.layout, self.theta[mouse], w, x, choice, reward)


def rule_update(
    layout: Layout, theta: np.ndarray, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray
) -> np.ndarray:
    """Change of the weights (N, K) by single trials under a closed-form rule with parameters theta (P,)."""
    n = len(w)
    p = 1.0 / (1.0 + np.exp(-np.sum(w * x, axis=1, keepdims=True)))
    mice = BatchRule(layout.rule, np.repeat(layout.unpack(theta[None]).rule, n, axis=0), w)
    after = mice.learn(mice.init(n), x, choice[:, None].astype(float), reward[:, None].astype(float), p)
    return after.weights - w


def fit_rule(
    trials: Trials,
    rule: Rule,
    *,
    free: Sequence[str] | None = None,
    fixed: dict[str, float] | None = None,
    noise: bool = False,
    name: str | None = None,
    done: Callable[[int], None] = lambda mouse: None,
) -> RuleFit:
    """Fit every mouse by itself.

    Free by default: the rule's parameters and the initial weights. `fixed` gives parameters known values; `free` names
    others to fit (lapses, for instance). `noise` fits the noise of the weights after each trial and, where mice have more than
    one session, between sessions. `done(mouse)` is called after each mouse. Raises ValueError for an unknown
    parameter.
    """
    layout = Layout(rule, trials.features)
    feature_codes(trials.features)
    levels = ["trial_noise", *(["day_noise"] if trials.new_session[:, 1:].any() else [])] if noise else []
    base, columns = _start(layout, [*(free or ()), *levels], fixed or {})

    fits = []
    for mouse in range(len(trials.ids)):
        fits.append(_fit_mouse(likelihood_of(noise)(trials, mouse, layout), base, columns))
        done(mouse)
    theta, ci95, nll, converged = (np.array(part) for part in zip(*fits, strict=True))
    settings = {"free": [layout.names[c] for c in columns], "fixed": fixed or {}, "noise": noise}
    return RuleFit(layout, theta, ci95, nll, converged, trials.ids, name or rule.name, settings)


def likelihood_of(noise: bool) -> type[MouseLikelihood]:
    """The likelihood of one mouse whose weights move by the rule alone, or at random too."""
    return FilteredLikelihood if noise else MouseLikelihood


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


class _Optimum(NamedTuple):
    free: np.ndarray  # (F,) unconstrained
    theta: np.ndarray  # (P,) natural
    nll: float
    information: np.ndarray  # (F, F) of `free`
    converged: bool


@dataclass(frozen=True)
class _Problem:
    """The likelihood of one mouse over the unconstrained values of some columns of theta."""

    likelihood: MouseLikelihood
    base: np.ndarray  # (P,)
    columns: list[int]

    @property
    def parameters(self) -> list[Parameter]:
        every = list(self.likelihood.layout.columns.values())
        return [every[c] for c in self.columns]

    def free(self, theta: np.ndarray) -> np.ndarray:
        """Unconstrained values (F,) of the columns of theta (P,)."""
        return np.array([p.free(theta[c]) for p, c in zip(self.parameters, self.columns, strict=True)])

    def natural(self, free: np.ndarray) -> np.ndarray:
        """Natural values (F,) of unconstrained ones; complex ones give derivatives."""
        with np.errstate(over="ignore"):
            return np.array([p.natural(u) for p, u in zip(self.parameters, free, strict=True)])

    def evaluate(self, free: np.ndarray) -> tuple[np.ndarray, Evaluation]:
        """theta (P,), and the likelihood with derivatives over the unconstrained values."""
        stepped = self.natural(free + 1j * STEP)
        theta, slope = self.base.copy(), stepped.imag / STEP
        theta[self.columns] = stepped.real
        value = self.likelihood.evaluate(theta, self.columns)
        return theta, Evaluation(value.nll, value.gradient * slope, value.information * np.outer(slope, slope))

    def maximise(self, start: np.ndarray, covariance: np.ndarray | None = None, tolerance: float = TOLERANCE) -> _Optimum:
        """BFGS from unconstrained values (F,); `covariance` (F, F) is a guess of theirs, if there is one."""
        free, converged = start, True
        if self.columns:
            options = {"gtol": tolerance, "maxiter": ITERATIONS} | ({} if covariance is None else {"hess_inv0": covariance})
            with np.errstate(all="ignore"):  # line searches that strayed are judged by their result
                found = minimize(self._objective, start, jac=True, method="BFGS", options=options)
            free, converged = found.x, bool(np.abs(found.jac).max() < 100 * tolerance)
        theta, value = self.evaluate(free)
        return _Optimum(free, theta, value.nll, value.information, converged)

    def _objective(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        if np.abs(free).max() > FARTHEST:
            return STEEP, np.zeros_like(free)
        _, value = self.evaluate(free)
        if not (np.isfinite(value.nll) and np.isfinite(value.gradient).all()):
            return STEEP, np.zeros_like(free)
        return value.nll, value.gradient

    def interval_end(self, best: _Optimum, j: int, sign: int) -> float:
        """Unconstrained end of the profile-likelihood interval of the j-th column, below (sign -1) or above (+1)."""
        others = [i for i in range(len(self.columns)) if i != j]
        information = best.information
        covariance = _inverse(information[np.ix_(others, others)])
        along = -covariance @ information[others, j]
        curvature = information[j, j] + information[j, others] @ along
        distance = np.sqrt(CHI2_95 / curvature) if curvature > 0 else 2.0
        starts, inside, outside = [best.free[others]], 0.0, np.inf
        for _ in range(PROFILE_STEPS):
            distance = min(distance, abs(sign * FARTHEST - best.free[j]))
            end = best.free[j] + sign * distance
            base = best.theta.copy()
            base[self.columns[j]] = self.parameters[j].natural(end)
            rest = _Problem(self.likelihood, base, [self.columns[i] for i in others])
            profile = min((rest.maximise(s, covariance, PROFILE_TOLERANCE) for s in starts), key=lambda found: found.nll)
            drop = 2 * (profile.nll - best.nll)
            if abs(drop - CHI2_95) < PROFILE_TOLERANCE or (abs(end) >= FARTHEST and drop < CHI2_95):
                break
            if drop < CHI2_95:
                inside, starts = distance, [profile.free]
            else:  # with noise, a fit from outside alone may be stuck where a rate or a noise is 0
                outside, starts = distance, [*(starts[:1] if self.likelihood.noise else []), profile.free]
            distance *= np.clip(np.sqrt(CHI2_95 / max(drop, 1e-3)), 0.4, 2.5)
            if self.likelihood.noise and not inside < distance < outside:
                distance = 0.5 * (inside + outside)
        return end


def _inverse(information: np.ndarray) -> np.ndarray:
    """Covariance (F, F) an information stands for, finite also where it says nothing."""
    values, vectors = np.linalg.eigh(information)
    half = vectors / np.sqrt(np.maximum(values, max(1e-3, 1e-8 * values.max(initial=0.0))))
    return half @ half.T


def _fit_mouse(likelihood: MouseLikelihood, base: np.ndarray, columns: list[int]) -> tuple:
    problem = _Problem(likelihood, base, columns)
    rates = [c for c, p in zip(columns, problem.parameters, strict=True) if "rate" in p.name]
    noises = [(c, p.name) for c, p in zip(columns, problem.parameters, strict=True) if p.name in NOISE_STARTS[0]]
    optima = []
    for rate, noise in zip(RATE_STARTS, NOISE_STARTS, strict=True):
        start = base.copy()
        start[rates] = rate
        for column, name in noises:
            start[column] = noise[name]
        optima.append(problem.maximise(problem.free(start)))
        if not rates and not noises:
            break
    best = min(optima, key=lambda o: o.nll)
    ci95 = np.full((len(base), 2), np.nan)
    for j, (column, parameter) in enumerate(zip(columns, problem.parameters, strict=True)):
        ci95[column] = [parameter.natural(problem.interval_end(best, j, sign)) for sign in (-1, 1)]
    return best.theta, ci95, best.nll, best.converged
