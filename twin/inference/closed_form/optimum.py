"""The most likely parameters of one mouse, and how far from them the likelihood lets one go.

The optimiser is BFGS in unconstrained space: a dense Hessian suits a handful of parameters. Scoring by the Fisher information,
tried in its place, halts far from the maximum on real mice, for whom no rule is quite true; L-BFGS-B jumps into regions where
the recurrence is chaotic (rewards below the baseline make it expand) and does not come back.

Intervals are profile-likelihood intervals (Venzon & Moolgavkar 1988, J R Stat Soc C 37:87): where the other parameters, fitted
anew, cannot keep the log-likelihood within half the 95 % quantile of chi-square of its maximum. The likelihood of a learning
rule is far from quadratic (the baseline leaves the expected update as it is), and intervals from the information alone cover
too seldom. An end the data do not determine is the parameter's bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from agents.parameters import Parameter
from twin.inference.closed_form.likelihood import STEP, Evaluation, MouseLikelihood

CHI2_95 = 3.841458820694124  # 95 % quantile of chi-square with one degree of freedom
PROFILE_STEPS, PROFILE_TOLERANCE = 8, 0.1  # of the search for an interval's end; tolerance in units of chi-square
ITERATIONS = 100
FARTHEST = 20.0  # in unconstrained space: where a bound is as good as reached
TOLERANCE = 1e-3  # of the gradient of the log-likelihood over unconstrained values, where a gain of 2 is one standard error
STEEP = 1e12  # stands for a likelihood of zero, where a step of the optimiser went astray


class Prior(NamedTuple):
    """Independent normal priors of the unconstrained values."""

    mean: np.ndarray  # (F,)
    precision: np.ndarray  # (F,)

    def without(self, j: int) -> Prior:
        """The prior of all values but the j-th."""
        return Prior(np.delete(self.mean, j), np.delete(self.precision, j))


class Optimum(NamedTuple):
    """Where the likelihood (with the prior, if there is one) is highest."""

    free: np.ndarray  # (F,) unconstrained
    theta: np.ndarray  # (P,) natural
    nll: float  # less the log-prior
    information: np.ndarray  # (F, F) of `free`
    converged: bool


@dataclass(frozen=True)
class Problem:
    """The likelihood of one mouse over the unconstrained values of some columns of theta."""

    likelihood: MouseLikelihood
    base: np.ndarray  # (P,)
    columns: list[int]
    prior: Prior | None = None

    @property
    def parameters(self) -> list[Parameter]:
        """Those of the columns."""
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
        nll, gradient, information = value.nll, value.gradient * slope, value.information * np.outer(slope, slope)
        if self.prior is not None:
            away, precision = free - self.prior.mean, self.prior.precision
            nll, gradient = nll + 0.5 * float(precision @ away**2), gradient + precision * away
            information = information + np.diag(precision)
        return theta, Evaluation(nll, gradient, information)

    def maximise(self, start: np.ndarray, covariance: np.ndarray | None = None, tolerance: float = TOLERANCE) -> Optimum:
        """BFGS from unconstrained values (F,); `covariance` (F, F) is a guess of theirs, if there is one."""
        free, converged = start, True
        if self.columns:
            options = {"gtol": tolerance, "maxiter": ITERATIONS} | ({} if covariance is None else {"hess_inv0": covariance})
            with np.errstate(all="ignore"):  # line searches that strayed are judged by their result
                found = minimize(self._objective, start, jac=True, method="BFGS", options=options)
            free, converged = found.x, bool(np.abs(found.jac).max() < 100 * tolerance)
        theta, value = self.evaluate(free)
        return Optimum(free, theta, value.nll, value.information, converged)

    def _objective(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        if np.abs(free).max() > FARTHEST:
            return STEEP, np.zeros_like(free)
        _, value = self.evaluate(free)
        if not (np.isfinite(value.nll) and np.isfinite(value.gradient).all()):
            return STEEP, np.zeros_like(free)
        return value.nll, value.gradient

    def interval_end(self, best: Optimum, j: int, sign: int) -> float:
        """Unconstrained end of the profile-likelihood interval of the j-th column, below (sign -1) or above (+1)."""
        others = [i for i in range(len(self.columns)) if i != j]
        information = best.information
        covariance = inverse(information[np.ix_(others, others)])
        along = -covariance @ information[others, j]
        curvature = information[j, j] + information[j, others] @ along
        distance = np.sqrt(CHI2_95 / curvature) if curvature > 0 else 2.0
        starts, inside, outside = [best.free[others]], 0.0, np.inf
        for _ in range(PROFILE_STEPS):
            distance = min(distance, abs(sign * FARTHEST - best.free[j]))
            end = best.free[j] + sign * distance
            base = best.theta.copy()
            base[self.columns[j]] = self.parameters[j].natural(end)
            rest = Problem(self.likelihood, base, [self.columns[i] for i in others], self.prior and self.prior.without(j))
            profile = min((rest.maximise(s, covariance, PROFILE_TOLERANCE) for s in starts), key=lambda found: found.nll)
            own = 0.0 if self.prior is None else 0.5 * self.prior.precision[j] * (end - self.prior.mean[j]) ** 2
            drop = 2 * (profile.nll + own - best.nll)
            if abs(drop - CHI2_95) < PROFILE_TOLERANCE or (abs(end) >= FARTHEST and drop < CHI2_95):
                break
            if drop < CHI2_95:
                inside, starts = distance, [profile.free]
            else:  # with noise, a fit from outside alone may be stuck where a rate or a noise is 0
                outside, starts = distance, [*(starts[:1] if self.likelihood.noise else []), profile.free]
            distance *= np.clip(np.sqrt(CHI2_95 / max(drop, 1e-3)), 0.4, 2.5)
            if not inside < distance < outside:
                distance = 0.5 * (inside + outside)
        return end


def inverse(information: np.ndarray) -> np.ndarray:
    """Covariance (F, F) an information stands for, finite also where it says nothing."""
    values, vectors = np.linalg.eigh(information)
    half = vectors / np.sqrt(np.maximum(values, max(1e-3, 1e-8 * values.max(initial=0.0))))
    return half @ half.T
