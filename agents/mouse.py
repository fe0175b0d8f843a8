"""Mouse: one virtual mouse for a plain Gymnasium loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from agents.closed_form import new_memory
from agents.features import feature_codes
from agents.life import compile_finish, decide, sleep
from agents.rules import RULES, Rule
from agents.theta import Layout
from envs.checks import check_seed
from envs.draws import mouse_key
from envs.names import suggest

NO_GO_ACTION = 2  # of the Gymnasium environments


class Mouse:
    """One virtual mouse: `act` on an observation, then `learn` from the reward; `start_session` after each reset.

    `theta` (parameters,) is a row of `Cohort.theta`; without it, parameters have their defaults. `parameters` sets some by
    name (`rate`, `initial_weight.bias`, ...), in natural units. `key` is the source of the mouse's randomness
    (`envs.draws.mouse_key`); with the key of the environment's mouse, the loop gives the trials of `twin.simulate` exactly.
    Raises ValueError for an unknown name, or a value outside its bounds.

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
        key: int | np.uint64 | None = None,
        theta: np.ndarray | None = None,
        **parameters: float,
    ) -> None:
        self.rule = _find_rule(rule)
        layout = Layout(self.rule, tuple(features))
        self._unpacked = layout.unpack(_row(layout, theta, parameters)[None])
        self._codes = feature_codes(features)
        self._key = np.uint64(mouse_key(0, 0) if key is None else check_seed(key, "key"))
        self._memory = new_memory(self.rule, self._unpacked.initial_weight[0])
        self._finish = compile_finish(self.rule)
        self._choice: int | None = None  # on the stimulus last seen; None once it is learned from
        self._trial = 0
        self._session = 0
        self._session_trial = 0

    @property
    def weights(self) -> np.ndarray:
        """Weights that will produce the next choice, (K,)."""
        return self._memory.weights.copy()

    @property
    def response_time(self) -> float:
        """Seconds from stimulus onset that the last choice took; the response window for a no-go."""
        if self._trial == 0 and self._choice is None:
            raise _nothing_done()
        return self._response_time

    def start_session(self) -> None:
        """Begin a new session, after a night; changes nothing before the first trial of a session."""
        if self._session_trial:
            sleep(self._memory.weights, self._memory.previous, self._unpacked.day_noise[0], self._key, self._trial)
            self._session += 1
            self._session_trial = 0

    def act(self, observation: Any) -> int:
        """Action (0 left, 1 right, 2 no-go) on an observation, the signed contrast as an array (1,)."""
        self._contrast = _contrast(observation)
        u = self._unpacked
        when = (self._key, self._trial, self._session, self._session_trial)
        self._choice, self._response_time, self._p, _ = decide(
            self._memory, self._codes, u.lapses[0], u.response_traits[0], self._contrast, when
        )
        return self._choice if self._choice >= 0 else NO_GO_ACTION

    def learn(self, reward: float, choice: int | None = None) -> None:
        """Learn from the reward (0 or 1) of the last choice.

        `choice` is what the rig recorded, `info["choice"]`, where it may differ from the action: a rig with a response
        window of less than 60 s, or one that takes no responses (habituation). Raises ValueError for any other reward or
        choice, RuntimeError for a second lesson from one choice.
        """
        if self._choice is None:
            raise _nothing_done()
        choice = self._choice if choice is None else choice
        if reward not in (0, 1) or choice not in (-1, 0, 1):
            raise ValueError(
                f"reward {reward!r}, choice {choice!r}: expected a reward of 0 or 1, and a choice of 0 (left), 1 (right) or "
                f"-1 (none), as in info['choice']"
            )
        self._finish(
            self._memory,
            self._unpacked.rule_parameters[0],
            self._unpacked.trial_noise[0],
            self._contrast,
            int(choice),
            int(reward),
            self._p,
            self._key,
            self._trial,
        )
        self._trial += 1
        self._session_trial += 1
        self._choice = None


def _find_rule(rule: str | Rule) -> Rule:
    """A closed-form rule, given itself or its name. Raises ValueError for anything else."""
    if isinstance(rule, Rule):
        return rule
    if rule not in RULES:
        raise ValueError(suggest("rule", rule, RULES))
    return RULES[rule]


def _row(layout: Layout, theta: Any, parameters: Mapping[str, float]) -> np.ndarray:
    """A mouse's row of theta, (P,). Raises ValueError for one of another length, or a value outside its bounds."""
    row = layout.defaults() if theta is None else np.array(theta, float)
    if row.shape != (len(layout.names),):
        raise ValueError(f"theta of shape {row.shape}: expected a row of {len(layout.names)}, of {', '.join(layout.names)}")
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"{name} = {value!r}: expected a number")
        row[layout.index(name)] = value
    for column, value in zip(layout.columns.values(), row, strict=True):
        column.check(value)
    return row


def _contrast(observation: Any) -> float:
    """The signed contrast of an observation. Raises ValueError for what is none."""
    try:
        contrast = float(observation[0])
    except (TypeError, ValueError, IndexError):
        contrast = math.nan
    if not -1.0 <= contrast <= 1.0:
        raise ValueError(f"observation {observation!r}: expected an array of one signed contrast, -1 to 1")
    return contrast


def _nothing_done() -> RuntimeError:
    return RuntimeError("the mouse has made no choice that it has not learned from; call act(observation) first")
