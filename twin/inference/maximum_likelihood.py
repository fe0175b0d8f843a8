"""Maximum likelihood of a closed-form rule, each mouse by itself, in unconstrained space.

The optimiser is Fisher scoring with Levenberg-Marquardt damping: the information comes with the gradient for nothing, so a
fit takes about ten evaluations, and steps of a few standard errors keep clear of the regions where the recurrence is
chaotic (reward below the baseline makes it expand) and the likelihood rough; quasi-Newton line searches jump there.

Confidence intervals are Wald intervals in the unconstrained space, from the Fisher information, brought back to natural
units; they are infinite where the data say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from agents.features import feature_codes
from agents.learning import BatchRule
from agents.parameters import Parameter
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.likelihood import STEP, Evaluation, MouseLikelihood

Z95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal
RATE_STARTS = (0.03, 0.003)  # the two ends of the literature's range of learning rates (Ashwood 2020; Geadah & Pillow 2025)
ITERATIONS = 100
LONGEST_STEP, FARTHEST = 2.0, 20.0  # in unconstrained space: a factor of 7 in a rate, and where a bound is as good as reached
TOLERANCE = 1e-6  # of log-likelihood: gained by the last step, or still to be gained by a Newton step


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

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice, (M, T), 0 where no trial counts."""
        out = np.zeros(trials.choice.shape)
        for m in range(len(out)):
            out[m, : trials.lengths[m]] = MouseLikelihood(trials, m, self.layout).log_likelihood(self.theta[m])
        return out

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K); NaN beyond a mouse's last trial."""
        out = np.full(trials.x.shape, np.nan)
        for m in range(len(out)):
            out[m, : trials.lengths[m]] = MouseLikelihood(trials, m, self.layout).run(self.theta[m])[0].real
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
    name: str | None = None,
    done: Callable[[int], None] = lambda mouse: None,
) -> RuleFit:
    """Fit every mouse by itself.

    Free by default: the rule's parameters and the initial weights. `fixed` gives parameters known values; `free` names
    others to fit (lapses, for instance). `done(mouse)` is called after each mouse. Raises ValueError for an unknown
    parameter or features that are not finite, naming the mouse.
    """
    layout = Layout(rule, trials.features)
    feature_codes(trials.features)
    base, columns = _start(layout, free, fixed or {})
    fits = []
    for m in range(len(trials.ids)):
        if not np.isfinite(trials.x[m]).all():
            raise ValueError(f"mouse {trials.ids[m]!r}: its features hold NaN or infinite values")
        fits.append(_fit_mouse(MouseLikelihood(trials, m, layout), base, columns))
        done(m)
    theta, ci95, nll, converged = (np.array(part) for part in zip(*fits, strict=True))
    settings = {"free": [layout.names[c] for c in columns], "fixed": fixed or {}}
    return RuleFit(layout, theta, ci95, nll, converged, trials.ids, name or rule.name, settings)


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
    covariance: np.ndarray  # (F, F) of `free`
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

    def maximise(self, start: np.ndarray) -> _Optimum:
        """Fisher scoring from unconstrained values (F,), damped until the likelihood rises."""
        free, damping, converged = start, 1e-3, False
        theta, here = self.evaluate(free)
        for _ in range(ITERATIONS):
            step = _solve(here.information + damping * np.diag(np.diag(here.information) + 1e-9), -here.gradient)
            ahead = np.clip(free + np.clip(step, -LONGEST_STEP, LONGEST_STEP), -FARTHEST, FARTHEST)
            there_theta, there = self.evaluate(ahead)
            gain = here.nll - there.nll if np.isfinite(there.gradient).all() else -np.inf
            if gain >= 0:
                free, theta, here, damping = ahead, there_theta, there, max(damping / 5, 1e-9)
            else:
                damping *= 10
            converged = -here.gradient @ step < TOLERANCE or 0 <= gain < TOLERANCE
            if converged or damping > 1e12:
                break
        return _Optimum(free, theta, here.nll, _solve(here.information, np.eye(len(free))), bool(converged))


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of a positive semi-definite system; infinite or NaN where it has none."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.full(right.shape, np.inf)


def _fit_mouse(likelihood: MouseLikelihood, base: np.ndarray, columns: list[int]) -> tuple:
    problem = _Problem(likelihood, base, columns)
    rates = [c for c, p in zip(columns, problem.parameters, strict=True) if "rate" in p.name]
    optima = []
    for rate in RATE_STARTS if rates else RATE_STARTS[:1]:
        start = base.copy()
        start[rates] = rate
        optima.append(problem.maximise(problem.free(start)))
    best = min(optima, key=lambda o: (not o.converged, o.nll))
    variance = np.diag(best.covariance)
    half = Z95 * np.sqrt(np.where(variance >= 0, variance, np.inf))
    ci95 = np.full((len(base), 2), np.nan)
    ci95[columns] = np.stack([problem.natural(best.free - half), problem.natural(best.free + half)], axis=1)
    return best.theta, ci95, best.nll, best.converged
