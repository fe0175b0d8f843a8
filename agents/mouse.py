"""Mouse: one virtual mouse for a plain Gymnasium loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from agents.features import feature_codes, fill_features, remember
from agents.learning import compile_learn, new_memory
from agents.policy import p_right, with_lapses
from agents.rules import RULES, Rule
from agents.theta import Layout
from envs.compiled import kernel, loop
from envs.draws import CHOICE, DAY_NOISE, TRIAL_NOISE, mouse_key, normal, uniform


@kernel
def decide(
    weights: np.ndarray,
    x: np.ndarray,
    previous: np.ndarray,
    codes: np.ndarray,
    lapses: np.ndarray,
    contrast: float,
    key: np.uint64,
    trial: int,
) -> tuple:
    """See one stimulus: (choice, P(right) before lapses, P(right)); the features are left in x (K,)."""
    fill_features(x, codes, contrast, previous)
    p = p_right(weights, x)
    lapsed = with_lapses(p, lapses[0], lapses[1])
    return (1 if uniform(key, trial, CHOICE) < lapsed else 0), p, lapsed


@kernel
def add_noise(weights: np.ndarray, sd: np.ndarray, key: np.uint64, trial: int, stream: int) -> None:
    """Add normal noise to weights (K,), of standard deviation sd (K,), in place."""
    for k in range(weights.shape[0]):
        if sd[k] > 0.0:
            weights[k] += sd[k] * normal(key, trial, stream + k)


@kernel
def sleep(weights: np.ndarray, previous: np.ndarray, day_noise: np.ndarray, key: np.uint64, trial: int) -> None:
    """The night between two sessions: the last trial is forgotten and day noise added."""
    previous[:] = 0.0
    add_noise(weights, day_noise, key, trial, DAY_NOISE)


@lru_cache(maxsize=64)
def compile_finish(rule: Rule) -> Any:
    """Compiled end of a trial, after its outcome: learning, trial noise, and what the next trial remembers."""
    learn = compile_learn(rule)

    @loop
    def finish(
        memory: Any,
        theta: np.ndarray,
        trial_noise: np.ndarray,
        contrast: float,
        choice: int,
        reward: int,
        p: float,
        key: np.uint64,
        trial: int,
    ) -> None:
        if choice >= 0:
            learn(memory, float(choice), float(reward), p, theta)
        add_noise(memory.weights, trial_noise, key, trial, TRIAL_NOISE)
        remember(memory.previous, contrast, choice, float(reward))

    return finish


class Mouse:
    """One virtual mouse: `act` on an observation, then `learn` from the reward; `start_session` after each reset.

    parameters: natural values by name (`rate`, `initial_weight.bias`, ...); the rest keep their defaults. `key` from
    `envs.draws.mouse_key`: with the key of the environment's mouse, the loop gives the trials of `twin.simulate` exactly.
    """

    def __init__(
        self,
        rule: str | Rule = "reinforce-baseline",
        features: Sequence[str] = ("stimulus", "bias"),
        key: Any = None,
        theta: np.ndarray | None = None,
        **parameters: float,
    ) -> None:
        self.rule = RULES[rule] if isinstance(rule, str) else rule
        layout = Layout(self.rule, tuple(features))
        row = layout.defaults() if theta is None else np.array(theta, float)
        for name, value in parameters.items():
            row[layout.index(name)] = value
        for column, value in zip(layout.columns.values(), row, strict=True):
            column.check(value)
        self._unpacked = layout.unpack(row[None])
        self._codes = feature_codes(features)
        self._key = np.uint64(mouse_key(0, 0) if key is None else key)
        self._memory = new_memory(self.rule, self._unpacked.initial_weight[0])
        self._finish = compile_finish(self.rule)
        self._trial = 0

    @property
    def weights(self) -> np.ndarray:
        """Weights that will produce the next choice, (K,)."""
        return self._memory.weights.copy()

    def start_session(self) -> None:
        """Begin a day; the first call, before any trial, changes nothing."""
        if self._trial:
            sleep(self._memory.weights, self._memory.previous, self._unpacked.day_noise[0], self._key, self._trial)

    def act(self, observation: Any) -> int:
        """Choice (0 left, 1 right) on an observation, the signed contrast as an array of one."""
        self._contrast = float(observation[0])
        memory = self._memory
        self._choice, self._p, _ = decide(
            memory.weights,
            memory.x,
            memory.previous,
            self._codes,
            self._unpacked.lapses[0],
            self._contrast,
            self._key,
            self._trial,
        )
        return self._choice

    def learn(self, reward: float) -> None:
        """Learn from the reward (0 or 1) of the last choice."""
        self._finish(
            self._memory,
            self._unpacked.rule[0],
            self._unpacked.trial_noise[0],
            self._contrast,
            self._choice,
            int(reward),
            self._p,
            self._key,
            self._trial,
        )
        self._trial += 1
