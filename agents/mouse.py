"""Mouse: one virtual mouse for a plain Gymnasium loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.closed_form import new_memory
from agents.features import feature_codes
from agents.life import compile_finish, decide, sleep
from agents.rules import RULES, Rule
from agents.theta import Layout
from envs.draws import mouse_key

NO_GO_ACTION = 2  # of the Gymnasium environments


class Mouse:
    """One virtual mouse: `act` on an observation, then `learn` from the reward; `start_session` after each reset.

    parameters: natural values by name (`rate`, `initial_weight.bias`, ...); the rest keep their defaults. `key` from
    `envs.draws.mouse_key`: with the key of the environment's mouse, the loop gives the trials of `twin.simulate` exactly:

        observation, info = env.reset(seed=1)
        mouse = Mouse(key=info["key"])
        while not over:
            action = mouse.act(observation)
            observation, reward, _, over, info = env.unwrapped.respond(action, mouse.response_time)
            mouse.learn(reward, info["choice"])

    With `env.step(action)` instead, every response takes the environment's own `response_time`.
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
        self._trial = self._session = self._session_trial = 0

    @property
    def weights(self) -> np.ndarray:
        """Weights that will produce the next choice, (K,)."""
        return self._memory.weights.copy()

    @property
    def response_time(self) -> float:
        """Seconds from stimulus onset that the last choice took; the response window for a no-go."""
        return self._response_time

    def start_session(self) -> None:
        """Begin a day; before the first trial of a session it changes nothing."""
        if self._session_trial:
            sleep(self._memory.weights, self._memory.previous, self._unpacked.day_noise[0], self._key, self._trial)
            self._session += 1
            self._session_trial = 0

    def act(self, observation: Any) -> int:
        """Action (0 left, 1 right, 2 no-go) on an observation, the signed contrast as an array of one."""
        self._contrast = float(observation[0])
        u, when = self._unpacked, (self._key, self._trial, self._session, self._session_trial)
        self._choice, self._response_time, self._p, _ = decide(
            self._memory, self._codes, u.lapses[0], u.behavior[0], self._contrast, when
        )
        return self._choice if self._choice >= 0 else NO_GO_ACTION

    def learn(self, reward: float, choice: int | None = None) -> None:
        """Learn from the reward (0 or 1) of the last choice.

        `choice` is what the rig recorded, `info["choice"]`, where it may differ from the action: a rig with a response
        window of less than 60 s, or one that takes no responses (habituation).
        """
        self._finish(
            self._memory,
            self._unpacked.rule_parameters[0],
            self._unpacked.trial_noise[0],
            self._contrast,
            self._choice if choice is None else choice,
            int(reward),
            self._p,
            self._key,
            self._trial,
        )
        self._trial += 1
        self._session_trial += 1
