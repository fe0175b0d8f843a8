"""The likelihood of a closed-form rule given one mouse's trials, compiled, with its exact gradient and Fisher information.

The rule is driven by the recorded choices and rewards, which are data: only weights and probabilities depend on the parameters.
Nothing is differentiated by hand. Because the update is analytic, a run in complex numbers with theta + i h e_j gives the
derivative along e_j as an imaginary part divided by h, exact to rounding for h = 1e-30 (the complex step: Squire & Trapp 1998,
SIAM Review 40:110). Real parts are the same in all such runs, so they are done side by side, trial by trial, and share what
costs most of a trial, the probability of the choice. Autograd through the same rule is the test oracle.

The information is the sum over trials of the expected squared score given the past, (dp)^2 / (p (1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.closed_form import Memory, compile_learn, new_memory
from agents.policy import evidence
from agents.rules import Rule
from agents.theta import Layout, Unpacked
from envs.compiled import kernel, loop
from twin.data.trials import Trials

STEP = 1e-30  # h of the complex step: its square vanishes beside any number, so nothing is cut off


class Evaluation(NamedTuple):
    """The likelihood of one mouse at one theta; derivatives are over the free parameters (F), natural units."""

    nll: float  # natural log, summed over trials that count
    gradient: np.ndarray  # (F,)
    information: np.ndarray  # (F, F)


class ObservedTrials(NamedTuple):
    """The trials of one mouse, as the compiled loops read them."""

    x: np.ndarray  # (T, K)
    choice: np.ndarray  # (T,)
    reward: np.ndarray  # (T,)
    counts: np.ndarray  # (T,) whether the choice is part of the likelihood
    new_session: np.ndarray  # (T,)


class SteppedMice(NamedTuple):
    """F copies of one mouse, each with a complex step in another of its free parameters, and what is summed over its trials."""

    memory: Memory  # of all copies: every array has F rows
    rule_parameters: np.ndarray  # (F, K, R)
    lapses: np.ndarray  # (F, 2)
    slope: np.ndarray  # (F,) derivatives of P(right) in one trial
    gradient: np.ndarray  # (F,)
    information: np.ndarray  # (F, F), the lower triangle


@kernel
def both_sides(logit: float) -> tuple:
    """(sigmoid(logit), 1 - sigmoid(logit)), both to full relative precision."""
    if logit >= 0:
        e = math.exp(-logit)
        return 1.0 / (1.0 + e), e / (1.0 + e)
    e = math.exp(logit)
    return e / (1.0 + e), 1.0 / (1.0 + e)


@kernel
def sigmoid(z: complex) -> tuple:
    """`both_sides` of a number whose imaginary part is a complex step."""
    right, left = both_sides(z.real)
    slope = right * left * z.imag
    return complex(right, slope), complex(left, -slope)


@kernel
def lapsed(right: float, left: float, low: float, high: float) -> tuple:
    """Probabilities of right and left choices once lapses are counted in."""
    engaged = 1.0 - low - high
    return low + engaged * right, high + engaged * left


@kernel
def copy_of(memory: Any, f: int, x: np.ndarray) -> Memory:
    """The memory of the f-th copy of a mouse, which sees x (K,)."""
    return Memory(
        memory.weights[f],
        memory.eligibility[f],
        memory.critic[f],
        memory.gradients[f],
        memory.rewards[f],
        memory.learned[f],
        x,
        memory.previous[f],
    )


@kernel
def add_score(mice: Any, choice: int, p_right: float, p_left: float) -> float:
    """Add a trial to gradient and information; its negative log-likelihood."""
    chosen = p_right if choice == 1 else p_left
    if not chosen > 0.0:
        return math.inf
    score = 1.0 / p_right if choice == 1 else -1.0 / p_left
    variance = p_right * p_left
    precision = 1.0 / variance if variance > 0.0 else 0.0
    for f in range(mice.slope.shape[0]):
        mice.gradient[f] -= mice.slope[f] * score
        for g in range(f + 1):
            mice.information[f, g] += mice.slope[f] * mice.slope[g] * precision
    return -math.log(chosen)


@lru_cache(maxsize=64)
def _compile_scores(rule: Rule) -> Callable[[ObservedTrials, SteppedMice], float]:
    """Compiled run of one mouse: its negative log-likelihood; gradient and information are left in the SteppedMice."""
    learn = compile_learn(rule, complex)

    @loop
    def scores(trials: Any, mice: Any) -> float:
        nll, low, high = 0.0, mice.lapses[0, 0].real, mice.lapses[0, 1].real
        for t in range(trials.x.shape[0]):
            x, choice = trials.x[t], trials.choice[t]
            weights = mice.memory.weights
            right, left = both_sides(evidence(weights[0].real, x))
            for f in range(mice.slope.shape[0]):
                slope = right * left * evidence(weights[f].imag, x)
                lapses = mice.lapses[f]
                mice.slope[f] = (1.0 - low - high) * slope + lapses[0].imag * left - lapses[1].imag * right
                if choice >= 0:
                    p = complex(right, slope)
                    learn(copy_of(mice.memory, f, x), float(choice), float(trials.reward[t]), p, mice.rule_parameters[f])
            if trials.counts[t]:
                p_right, p_left = lapsed(right, left, low, high)
                nll += add_score(mice, choice, p_right, p_left)
        return nll

    return scores


@lru_cache(maxsize=64)
def _compile_path(rule: Rule) -> Callable[..., None]:
    """Compiled run of one mouse: weights before each trial, and the probability of what was chosen and of what was not."""
    learn = compile_learn(rule)

    @loop
    def path(trials: Any, memory: Any, rule_parameters: Any, lapses: Any, weights: Any, chosen: Any, other: Any) -> None:
        for t in range(trials.x.shape[0]):
            x, choice = trials.x[t], trials.choice[t]
            for k in range(x.shape[0]):
                weights[t, k] = memory.weights[k]
                memory.x[k] = x[k]
            right, left = both_sides(evidence(memory.weights, x))
            p_right, p_left = lapsed(right, left, lapses[0], lapses[1])
            chosen[t] = p_right if choice == 1 else p_left
            other[t] = p_left if choice == 1 else p_right
            if choice >= 0:
                learn(memory, float(choice), float(trials.reward[t]), right, rule_parameters)

    return path


class MouseLikelihood:
    """The trials of one mouse, ready to be evaluated at any theta.

    A trial counts where the mask is set; every trial with a choice moves the weights.
    """

    def __init__(self, trials: Trials, mouse: int, layout: Layout) -> None:
        n = int(trials.lengths[mouse])
        columns = (trials.x, trials.choice, trials.reward, trials.mask, trials.new_session)
        self.layout = layout
        self.trials = ObservedTrials(*(np.ascontiguousarray(column[mouse, :n]) for column in columns))
        self._columns = layout.unpack(np.arange(len(layout.names))[None])
        self._path = _compile_path(layout.rule)
        self._scores = _compile_scores(layout.rule)

    def parts(self, theta: np.ndarray) -> Unpacked:
        """theta (..., P) by what it is for: the arrays of Unpacked, with the leading axes of theta in place of mice."""
        return Unpacked(*(np.take(theta, columns[0], axis=-1) for columns in self._columns))

    def run(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights before each trial (T, K), probability of the choice made (T,) and of the other (T,); theta (P,)."""
        parts = self.parts(np.asarray(theta, float))
        weights = np.empty(self.trials.x.shape)
        chosen = np.empty(len(weights))
        other = np.empty(len(weights))
        memory = new_memory(self.layout.rule, parts.initial_weight)
        self._path(self.trials, memory, parts.rule_parameters, parts.lapses, weights, chosen, other)
        return weights, chosen, other

    def log_likelihood(self, theta: np.ndarray) -> np.ndarray:
        """Log-probability (natural) of each choice, (T,), 0 where no trial counts."""
        _, chosen, _ = self.run(theta)
        with np.errstate(divide="ignore"):
            return np.where(self.trials.counts, np.log(chosen), 0.0)

    def evaluate(self, theta: np.ndarray, free: Sequence[int]) -> Evaluation:
        """Value, gradient and information over the `free` columns of theta."""
        n_free = len(free)
        if n_free == 0:
            return Evaluation(-float(self.log_likelihood(theta).sum()), np.zeros(0), np.zeros((0, 0)))
        parts = self.parts(stepped(theta, free))
        memory = new_memory(self.layout.rule, parts.initial_weight[0])
        memories = Memory(*(np.repeat(part[None], n_free, axis=0) for part in memory))._replace(weights=parts.initial_weight)
        room = np.empty(n_free), np.zeros(n_free), np.zeros((n_free, n_free))
        mice = SteppedMice(memories, parts.rule_parameters, parts.lapses, *room)
        nll = self._scores(self.trials, mice)
        lower = mice.information / STEP / STEP
        return Evaluation(nll, mice.gradient / STEP, lower + np.tril(lower, -1).T)


def stepped(theta: np.ndarray, free: Sequence[int]) -> np.ndarray:
    """theta (P,) once for each of the `free` columns, with a complex step in it: (F, P)."""
    rows = np.tile(np.asarray(theta, complex), (len(free), 1))
    rows[np.arange(len(free)), free] += 1j * STEP
    return rows
