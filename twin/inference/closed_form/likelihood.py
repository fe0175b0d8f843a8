"""The likelihood of a closed-form rule given one mouse's trials, compiled, with its exact gradient and Fisher information.

The rule runs teacher-forced: the recorded choices and rewards drive the weights. Nothing is differentiated by hand. Because
the update is analytic, one run with theta + i h e_j gives the derivative along e_j as an imaginary part divided by h, exact
to rounding for h = 1e-30 (the complex step: Squire & Trapp 1998, SIAM Review 40:110). Autograd through the same rule is the
test oracle.

The information is the sum over trials of the expected squared score given the past, (dp)^2 / (p (1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.closed_form import compile_learn, new_memory
from agents.rules import Rule
from agents.theta import Layout
from envs.compiled import kernel, loop
from twin.data.trials import Trials

STEP = 1e-30


class Evaluation(NamedTuple):
    """The likelihood of one mouse at one theta; derivatives are over the free parameters (F), natural units."""

    nll: float  # natural log, summed over trials with a choice
    gradient: np.ndarray  # (F,)
    information: np.ndarray  # (F, F)


@kernel
def _exp(z: complex) -> complex:
    """exp of a number whose imaginary part is a complex step: too small for its cosine to differ from 1."""
    e = math.exp(z.real)
    return complex(e, e * z.imag)


@kernel
def sigmoid(z: complex) -> tuple:
    """(sigmoid(z), 1 - sigmoid(z)), both to full relative precision."""
    if z.real >= 0:
        e = _exp(-z)
        return 1.0 / (1.0 + e), e / (1.0 + e)
    e = _exp(z)
    return e / (1.0 + e), 1.0 / (1.0 + e)


@lru_cache(maxsize=64)
def _compile_path(rule: Rule) -> Callable[..., None]:
    """Compiled run of one mouse: weights before each trial, and the probability of what was chosen and of what was not."""
    learn = compile_learn(rule)

    @loop
    def path(
        x: Any, choice: Any, reward: Any, memory: Any, theta: Any, lapses: Any, weights: Any, chosen: Any, other: Any
    ) -> None:
        for t in range(x.shape[0]):
            logit = 0.0j
            for k in range(x.shape[1]):
                weights[t, k] = memory.weights[k]
                logit += memory.weights[k] * x[t, k]
            right, left = sigmoid(logit)
            engaged = 1.0 - lapses[0] - lapses[1]
            p_right, p_left = lapses[0] + engaged * right, lapses[1] + engaged * left
            if choice[t] == 1:
                chosen[t], other[t] = p_right, p_left
            else:
                chosen[t], other[t] = p_left, p_right
            if choice[t] >= 0:
                for k in range(x.shape[1]):
                    memory.x[k] = x[t, k]
                learn(memory, float(choice[t]), float(reward[t]), right, theta)

    return path


class MouseLikelihood:
    """The trials of one mouse, ready to be evaluated at any theta.

    A trial counts where the mask is set; every trial with a choice moves the weights.
    """

    noise = False  # whether weights also move at random

    def __init__(self, trials: Trials, mouse: int, layout: Layout) -> None:
        n = int(trials.lengths[mouse])
        self.layout = layout
        self._x = np.ascontiguousarray(trials.x[mouse, :n])
        self._choice, self._reward = trials.choice[mouse, :n].copy(), trials.reward[mouse, :n].copy()
        self._counts = trials.mask[mouse, :n]
        self._path = _compile_path(layout.rule)

    def run(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights before each trial (T, K), probability of the choice made (T,) and of the other (T,); theta (P,)."""
        u = self.layout.unpack(np.asarray(theta, complex)[None])
        weights, chosen = np.empty(self._x.shape, complex), np.empty(len(self._x), complex)
        other = np.empty(len(self._x), complex)
        memory = new_memory(self.layout.rule, u.initial_weight[0])
        self._path(self._x, self._choice, self._reward, memory, u.rule_parameters[0], u.lapses[0], weights, chosen, other)
        return weights, chosen, other

    def log_likelihood(self, theta: np.ndarray) -> np.ndarray:
        """Log-probability (natural) of each choice, (T,), 0 where no trial counts."""
        _, chosen, _ = self.run(theta)
        with np.errstate(divide="ignore"):
            return np.where(self._counts, np.log(chosen.real), 0.0)

    def evaluate(self, theta: np.ndarray, free: Sequence[int]) -> Evaluation:
        """Value, gradient and information over the `free` columns of theta."""
        slopes = np.empty((len(free), int(self._counts.sum())))
        p = q = np.empty(0)
        for row, column in enumerate(free):
            stepped = np.asarray(theta, complex).copy()
            stepped[column] += 1j * STEP
            _, chosen, other = self.run(stepped)
            p, q = chosen.real[self._counts], other.real[self._counts]
            slopes[row] = chosen.imag[self._counts] / STEP
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            nll = -np.log(p).sum()
            gradient = -(slopes / p).sum(axis=1)
            variance = p * q
            information = np.divide(slopes, variance, out=np.zeros_like(slopes), where=variance > 0) @ slopes.T
        return Evaluation(float(nll), gradient, information)
