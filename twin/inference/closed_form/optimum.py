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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from agents.parameters import Parameter
from twin.inference.closed_form.likelihood import STEP, Evaluation, MouseLikelihood

CHI2_95 = 3.841458820694124  # 95 % quantile of chi-square with one degree of freedom
PROFILE_STEPS = 8  # of the search for an interval's end
PROFILE_TOLERANCE = 0.1  # of that search, in units of chi-square; and of the gradient of the fits along it
ITERATIONS = 100  # of the optimiser
FARTHEST = 20.0  # in unconstrained space, where exp(-20) of the way is left to a bound: it is as good as reached
TOLERANCE = 1e-3  # of the gradient of the log-likelihood over unconstrained values, where a gain of 2 is one standard error
STEEP = 1e12  # nll given to the optimiser where the likelihood is zero or not a number: a step there is taken back


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
    nll: float  # minus the log-prior, if there is a prior
    information: np.ndarray  # (F, F) of `free`
    converged: bool


@dataclass(frozen=True)
class Problem:
    """The likelihood of one mouse over the unconstrained values of some columns of theta."""

    likelihood: MouseLikelihood
    base: np.ndarray  # (P,)
    columns: list[int]
    prior: Prior | None = None

    @cached_property
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

    def maximise(
        self,
        start: np.ndarray,
        tolerance: float = TOLERANCE,
        covariance: np.ndarray | None = None,
        scaled: bool = False,
    ) -> Optimum:
        """BFGS from unconstrained values (F,) until the gradient is below `tolerance`.

        Its first guess of their covariance is `covariance` (F, F), or if `scaled` what the information at the start stands for,
        or the identity.
        """
        known: dict[bytes, tuple[np.ndarray, Evaluation]] = {}  # the optimiser starts and ends where it has been

        def at(free: np.ndarray) -> tuple[np.ndarray, Evaluation]:
            key = free.tobytes()
            if key not in known:
                known[key] = self.evaluate(free)
            return known[key]

        free, converged = start, True
        if self.columns:
            if scaled:
                covariance = inverse(at(start)[1].information)
            options = {"gtol": tolerance, "maxiter": ITERATIONS} | ({} if covariance is None else {"hess_inv0": covariance})
            with np.errstate(all="ignore"):  # line searches that strayed are judged by their result
                found = minimize(lambda values: _objective(values, at), start, jac=True, method="BFGS", options=options)
            free, converged = found.x, bool(np.abs(found.jac).max() < 100 * tolerance)
        theta, value = at(free)
        return Optimum(free, theta, value.nll, value.information, converged)

    def interval_end(self, best: Optimum, j: int, sign: int) -> float:
        """Unconstrained end of the profile-likelihood interval of the j-th column, below (sign -1) or above (+1).

        The root of the likelihood's drop grows almost in proportion to the distance, so each drop tells the next distance.
        """
        profile = Profile(self, best, j, sign)
        distance, inside, outside = profile.wald_distance, 0.0, np.inf
        starts = [best.free[profile.others]]
        for _ in range(PROFILE_STEPS):
            distance = min(distance, profile.farthest)
            drop, others = profile.drop(distance, starts)
            if abs(drop - CHI2_95) < PROFILE_TOLERANCE or (distance >= profile.farthest and drop < CHI2_95):
                break
            if drop < CHI2_95:
                inside, starts = distance, [others]
            else:
                outside, starts = distance, [others]
            distance *= np.clip(np.sqrt(CHI2_95 / max(drop, 1e-3)), 0.4, 2.5)
            if not inside < distance < outside:
                distance = 0.5 * (inside + outside)
        return float(best.free[j] + sign * distance)


@dataclass(frozen=True)
class Profile:
    """The likelihood of one mouse along its j-th value, from the optimum to one side; the others are fitted anew everywhere."""

    problem: Problem
    best: Optimum
    j: int
    sign: int

    @property
    def others(self) -> list[int]:
        """The values that are fitted anew."""
        return [i for i in range(len(self.problem.columns)) if i != self.j]

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the others given the j-th, (F - 1, F - 1), by the information."""
        return inverse(self.best.information[np.ix_(self.others, self.others)])

    @property
    def wald_distance(self) -> float:
        """Where the interval would end if the likelihood were quadratic."""
        information = self.best.information
        across = information[self.others, self.j]
        curvature = information[self.j, self.j] - across @ self.covariance @ across
        return float(np.sqrt(CHI2_95 / curvature)) if curvature > 0 else 2.0

    @property
    def farthest(self) -> float:
        """Distance at which the j-th value is as good as on its bound."""
        return float(abs(self.sign * FARTHEST - self.best.free[self.j]))

    def drop(self, distance: float, starts: list[np.ndarray]) -> tuple[float, np.ndarray]:
        """Twice the log-likelihood lost at a distance, and the others there (F - 1,); they are looked for from each start."""
        end = self.best.free[self.j] + self.sign * distance
        rest, own = self._given(end)
        found = min((rest.maximise(s, PROFILE_TOLERANCE, self.covariance) for s in starts), key=lambda o: o.nll)
        return 2 * (found.nll + own - self.best.nll), found.free

    def _given(self, end: float) -> tuple[Problem, float]:
        """The problem of the others where the j-th value is `end`, and what the prior of the j-th adds to its nll."""
        problem, prior = self.problem, self.problem.prior
        base = self.best.theta.copy()
        base[problem.columns[self.j]] = problem.parameters[self.j].natural(end)
        rest = Problem(problem.likelihood, base, [problem.columns[i] for i in self.others], prior and prior.without(self.j))
        return rest, 0.0 if prior is None else 0.5 * float(prior.precision[self.j] * (end - prior.mean[self.j]) ** 2)


def _objective(free: np.ndarray, at: Callable[[np.ndarray], tuple[np.ndarray, Evaluation]]) -> tuple[float, np.ndarray]:
    """What BFGS minimises, and its gradient."""
    if np.abs(free).max() > FARTHEST:
        return STEEP, np.zeros_like(free)
    value = at(free)[1]
    if not (np.isfinite(value.nll) and np.isfinite(value.gradient).all()):
        return STEEP, np.zeros_like(free)
    return value.nll, value.gradient


def inverse(information: np.ndarray) -> np.ndarray:
    """Covariance (F, F) an information stands for, finite also where it says nothing."""
    values, vectors = np.linalg.eigh(information)
    half = vectors / np.sqrt(np.maximum(values, max(1e-3, 1e-8 * values.max(initial=0.0))))
    return half @ half.T
