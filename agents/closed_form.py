"""Closed-form rules at work: what a mouse carries from trial to trial, and how one trial of learning changes it.

There are two forms, one compiled for a single mouse and one that works on arrays of many. Both call the same `Rule.update`
for each weight. The window over past trials, which an update for one trial cannot hold, is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import config

from agents.rules import Rule
from agents.update_check import compile_update
from envs.compiled import kernel, loop

if config.DISABLE_JIT:

    def _row(values: np.ndarray, length: int) -> tuple:
        return tuple(values)
else:
    from numba.np.unsafe.ndarray import to_fixed_tuple as _row  # type: ignore[no-redef]

row = _row  # an array as a tuple of known length, which a compiled call can unpack: `update(*row(parameters, n))`


class Memory(NamedTuple):
    """What one mouse carries from trial to trial (K weights, a window of S trials); the arrays are changed in place."""

    weights: np.ndarray  # (K,)
    eligibility: np.ndarray  # (K,)
    critic: np.ndarray  # (1,)
    gradients: np.ndarray  # (S, K) gradient of the log-probability of the last S choices, oldest first
    rewards: np.ndarray  # (S,) their rewards
    learned: np.ndarray  # (1,) trials learned from so far
    x: np.ndarray  # (K,) features of the current trial
    previous: np.ndarray  # (3,) what the history features need


def new_memory(rule: Rule, initial_weights: np.ndarray) -> Memory:
    """State of a mouse that has seen nothing; real or complex as `initial_weights` (K,) are."""
    kind = initial_weights.dtype
    k = len(initial_weights)
    return Memory(
        weights=initial_weights.copy(),
        eligibility=np.zeros(k, kind),
        critic=np.zeros(1, kind),
        gradients=np.zeros((rule.window, k), kind),
        rewards=np.zeros(rule.window),
        learned=np.zeros(1, np.int64),
        x=np.zeros(k),
        previous=np.zeros(3),
    )


@kernel
def push_window(memory: Any, choice: float, reward: float, p: Any) -> float:
    """Put a trial into the window and its sum into the eligibility; returns 1 if at least half of its trials were rewarded."""
    s, k = memory.gradients.shape
    for i in range(s - 1):
        memory.rewards[i] = memory.rewards[i + 1]
        for j in range(k):
            memory.gradients[i, j] = memory.gradients[i + 1, j]
    memory.rewards[s - 1] = reward
    for j in range(k):
        memory.gradients[s - 1, j] = (choice - p) * memory.x[j]
        memory.eligibility[j] = memory.gradients[0, j]
        for i in range(1, s):
            memory.eligibility[j] += memory.gradients[i, j]
    memory.learned[0] += 1
    return 1.0 if 2.0 * memory.rewards.sum() >= min(memory.learned[0], s) else 0.0


def compile_learn(rule: Rule, number: type[float] | type[complex] = float) -> Callable[..., None]:
    """Compiled `learn(memory, choice, reward, p, rule_parameters)`: one trial of learning of one mouse, in place.

    `p` is the probability of a right choice before lapses, `rule_parameters` (K, R) the parameters of the rule at each weight.
    Weights and parameters may be complex. Raises ValueError for a rule whose update numba cannot compile for such a `number`.
    """
    update = loop(rule.update)
    n_parameters = len(rule.parameters)
    compile_update(rule.name, update, n_parameters, number)
    windowed = rule.window > 0

    @loop
    def learn(memory: Any, choice: float, reward: float, p: Any, rule_parameters: np.ndarray) -> None:
        if windowed:
            reward = push_window(memory, choice, reward, p)
        before = memory.critic[0]
        for k in range(memory.x.shape[0]):
            w, eligibility, critic = update(
                memory.weights[k],
                memory.eligibility[k],
                before,
                memory.x[k],
                choice,
                reward,
                p,
                *row(rule_parameters[k], n_parameters),
            )
            memory.weights[k] = w
            memory.eligibility[k] = eligibility
            memory.critic[0] = critic

    return learn


def keep(learns: Any, new: Any, old: Any) -> Any:
    """The new state of mice that learn, `learns` (M, 1) 1, and the old one of the rest, 0; states are tuples of arrays."""
    if not isinstance(new, tuple):
        return new * learns + old * (1.0 - learns)
    parts = [keep(learns, n, o) for n, o in zip(new, old, strict=True)]
    return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)


class BatchState(NamedTuple):
    """State of M mice under a closed-form rule; numpy or torch."""

    weights: Any  # (M, K)
    eligibility: Any  # (M, K)
    critic: Any  # (M, 1)
    gradients: tuple[Any, ...]  # the last S, each (M, K)
    rewards: tuple[Any, ...]  # the last S, each (M, 1)
    learned: Any  # (M, 1)


REMEMBERED = ("eligibility", "critic", "gradients", "rewards", "learned")  # of Memory: what a rule carries beside the weights


class BatchRule:
    """A closed-form rule over M mice at once, with the `init` and `learn` of a neural rule; numpy or torch by its inputs."""

    def __init__(self, rule: Rule, rule_parameters: Any, initial_weights: Any) -> None:
        """rule_parameters (M, K, R) in natural units, initial_weights (M, K)."""
        self.rule = rule
        self.parameters = tuple(rule_parameters[..., r] for r in range(len(rule.parameters)))
        self.initial_weights = initial_weights

    def init(self, n_mice: int) -> BatchState:
        """State of `n_mice` before the first trial."""
        zero = self.initial_weights * 0.0  # of the kind and device of the weights
        one_zero = zero[:, :1]
        window = self.rule.window
        return BatchState(self.initial_weights, zero, one_zero, (zero,) * window, (one_zero,) * window, one_zero)

    def learn(self, state: BatchState, x: Any, choice: Any, reward: Any, p_right: Any) -> BatchState:
        """State after a trial: x (M, K), choice (-1: no choice, no learning), reward and p_right (M, 1)."""
        w, eligibility, critic, gradients, rewards, learned = state
        if self.rule.window:
            learned = learned + 1.0
            gradients = (*gradients[1:], (choice - p_right) * x)
            rewards = (*rewards[1:], reward)
            eligibility = sum(gradients[1:], start=gradients[0])
            half = 0.5 * (learned * (learned < self.rule.window) + self.rule.window * (learned >= self.rule.window))
            reward = 1.0 * (sum(rewards[1:], start=rewards[0]) >= half)
        w, eligibility, critic = self.rule.update(w, eligibility, critic, x, choice, reward, p_right, *self.parameters)
        new = BatchState(w, eligibility, critic, gradients, rewards, learned)
        return keep(1.0 * (choice >= 0), new, state)

    def remembered(self, state: BatchState) -> dict[str, np.ndarray]:
        """What the rule carries beside the weights, as the REMEMBERED of M mice's Memory: numpy arrays, (M, ...) each."""
        mice, k = state.eligibility.shape
        s = self.rule.window
        gradients = np.array(state.gradients).reshape(s, mice, k).swapaxes(0, 1)
        rewards = np.array(state.rewards).reshape(s, mice).T
        learned = state.learned.astype(np.int64)
        critic = state.critic[:, -1:]  # of one mouse, the same at every weight
        memory = (state.eligibility, critic, gradients, rewards, learned)
        return {name: np.array(part, order="C") for name, part in zip(REMEMBERED, memory, strict=True)}

    def resume(self, weights: np.ndarray, memory: Mapping[str, np.ndarray]) -> BatchState:
        """The state of mice that have these weights (M, K) and what `remembered` gave."""
        eligibility, critic, gradients, rewards, learned = (memory[name].copy() for name in REMEMBERED)
        window = tuple(gradients.swapaxes(0, 1))
        return BatchState(weights.copy(), eligibility, critic, window, tuple(rewards.T[..., None]), learned.astype(float))


def as_mice(rule: Any, rule_parameters: Any, initial_weights: Any) -> Any:
    """M mice of a rule of either kind, with `init` and `learn`.

    initial_weights (M, K); rule_parameters (M, K, R) are those of a closed-form rule, or in which mice differ under a network.
    """
    if isinstance(rule, Rule):
        return BatchRule(rule, rule_parameters, initial_weights)
    return rule.as_mice(initial_weights, rule_parameters if rule_parameters.shape[-1] else None)
