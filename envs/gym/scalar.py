"""ChoiceWorldEnv: one mouse of the IBL task as a Gymnasium environment; one step is one trial, one episode one session."""

from __future__ import annotations

from math import inf
from typing import Any

import gymnasium as gym
import numpy as np

from envs.checks import MOST_MOUSE, check_seconds, check_seed, whole
from envs.draws import mouse_key
from envs.gym.render import frame, line
from envs.gym.step import (
    FINISHED,
    RENDER_MODES,
    RESPONSE_TIME,
    STANDING,
    begin_session,
    check_action,
    check_render_mode,
    no_mouse,
    plain_action,
    session_is_over,
    stage_option,
    step_mouse,
)
from envs.protocols import ProtocolLike, find_protocol
from envs.task.session import new_mice

_INFO = (*FINISHED, *STANDING)
_NUMBERS = (int, np.int64)  # what compiled code is made for; other actions are turned into it


class ChoiceWorldEnv(gym.Env[np.ndarray, np.int64]):
    """The rig of one mouse.

    Observation: the signed contrast, Box(-1, 1, (1,)), positive = right. Action: 0 left, 1 right, 2 no-go. Reward: 1.0 if
    water was given, else 0.0. A session's end is `truncated`; `terminated` is never set. `info` has what `envs.gym.step`
    lists: the trial just finished (FINISHED) and where the mouse stands (STANDING); `reset` adds the mouse's `key`.

    A step takes `response_time` seconds of the rig's time, a fixed number; an agent that has response times of its own
    calls `respond(action, response_time)` instead, of which `step` is the shorthand.

    `reset(seed=s)` is a new mouse on its first day, `reset()` the next day of the same mouse, and
    `reset(options={"stage": 3})` starts the day at a stage. With the same seed and `mouse` number the trials are those of
    `twin.simulate`, bit for bit.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 1}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(
        self,
        protocol: ProtocolLike = "ibl-documented",
        mouse: int = 0,
        response_time: float = RESPONSE_TIME,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        self.protocol = find_protocol(protocol)
        self.response_time = check_seconds("response_time", response_time)
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(3)
        self._number = whole("mouse", mouse, 0, MOST_MOUSE)
        self._rig = self.protocol.record
        self._mice: Any = None  # the record of the one mouse, (1,)
        self._over = True

    @property
    def key(self) -> np.uint64:
        """Key of the current mouse; a `Mouse` made with it repeats the simulator's mouse."""
        if self._mice is None:
            raise no_mouse()
        return self._mice["key"][0]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a session and show its first stimulus. Raises ValueError for a seed that is no whole number of 64 bits."""
        seed = None if seed is None else check_seed(seed)
        stage = stage_option(self.protocol, options)
        super().reset(seed=seed)
        if seed is not None or self._mice is None:
            seed = int(self.np_random.integers(2**32)) if seed is None else seed
            self._mice = new_mice(self._rig[0], np.array([mouse_key(np.uint64(seed), self._number)], np.uint64))
        begin_session(self._rig, self._mice, 0, stage)
        self._over = False
        mouse = self._mice[0]
        info = {"stage": int(mouse.stage), "session": int(mouse.session), "trial": 0, "clock": 0.0, "gain": float(mouse.gain)}
        return np.array([mouse.contrast], np.float32), info | {"key": mouse.key}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make a choice on the stimulus shown, and see the next one (0 contrast at the end of the session)."""
        return self.respond(action, self.response_time)

    def respond(self, action: Any, response_time: float) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As `step`, `response_time` seconds after the stimulus appeared. The rig takes a late answer for a no-go."""
        if self._over:
            raise session_is_over(self._number)
        if type(action) in _NUMBERS:
            check_action(action, self._number)
        else:
            action = plain_action(action, self._number)
        if type(response_time) is not float or not 0.0 <= response_time < inf:
            response_time = check_seconds(f"mouse {self._number}: response_time", response_time)
        contrast, reward, over, *results = step_mouse(self._rig, self._mice, 0, action, response_time)
        self._over = bool(over)
        info = dict(zip(_INFO, results, strict=True))
        return np.array([contrast], np.float32), reward, False, self._over, info

    def render(self) -> Any:
        """The stimulus shown: a line of text ("ansi") or a picture, (height, width, 3) uint8 ("rgb_array")."""
        if self.render_mode is None:
            return None
        if self._mice is None:
            raise RuntimeError(f"mouse {self._number}: nothing is shown yet; call reset() before render()")
        return line(self._mice[0]) if self.render_mode == "ansi" else frame(self._mice[0])
