"""ChoiceWorldEnv: one mouse of the IBL task as a Gymnasium environment; one step is one trial, one episode one session."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from envs.draws import mouse_keys
from envs.protocols import Protocol, load_protocol
from envs.session import new_mice, next_session, session_over
from envs.task import draw, score

LEFT, RIGHT, NO_GO = 0, 1, 2


class ChoiceWorldEnv(gym.Env[np.ndarray, np.int64]):
    """The rig of one mouse.

    Observation: the signed contrast, Box(-1, 1, (1,)), positive = right. Action: 0 left, 1 right, 2 no-go. Reward: 1.0 if
    water was given, else 0.0. A session's end is `truncated`; `terminated` is never set.

    `reset(seed=s)` is a new mouse on its first day, `reset()` the next day of the same mouse, and
    `reset(options={"stage": 3})` starts the day at a stage. With the same seed and `mouse` number the trials are those of
    `twin.simulate`, bit for bit.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(self, protocol: Protocol | str = "ibl-documented", mouse: int = 0, render_mode: str | None = None) -> None:
        self.protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}; expected one of {self.metadata['render_modes']} or None")
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(3)  # type: ignore[assignment]
        self._mouse_number = mouse
        self._rig: Any = self.protocol.record[0]
        self._mouse: Any = None
        self._over = True

    @property
    def key(self) -> np.uint64:
        """Key of the current mouse; a `Mouse` made with it repeats the simulator's mouse."""
        return self._mouse.key

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a session and show its first stimulus."""
        super().reset(seed=seed)
        if seed is not None or self._mouse is None:
            seed = int(self.np_random.integers(2**32)) if seed is None else seed
            self._mouse = new_mice(mouse_keys(seed, self._mouse_number + 1)[-1:])[0]
        elif self._mouse.session_trial:
            next_session(self._rig, self._mouse)
        stage = (options or {}).get("stage")
        if stage is not None:
            if not 0 <= stage < len(self.protocol.stages):
                raise ValueError(
                    f"options['stage'] = {stage}; protocol {self.protocol.name!r} has stages 0 to {len(self.protocol.stages) - 1}"
                )
            self._mouse.stage = self._mouse.kept_stage = stage
        draw(self._rig, self._mouse)
        self._over = False
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make a choice on the stimulus shown, and see the next one (0 contrast at the end of the session)."""
        if self._over:
            raise RuntimeError("the session is over (or never began): call reset() before step()")
        if action not in (LEFT, RIGHT, NO_GO):
            raise ValueError(f"action {action!r}; expected 0 (left), 1 (right) or 2 (no-go)")
        mouse = self._mouse
        shown = {
            "correct_side": int(mouse.side > 0),
            "probability_left": float(mouse.probability_left),
            "is_repeat": bool(mouse.is_repeat),
        }
        reward = score(self._rig, mouse, -1 if action == NO_GO else int(action))
        self._over = bool(session_over(self._rig, mouse))
        if self._over:
            mouse.contrast = 0.0
        else:
            draw(self._rig, mouse)
        info = self._info() | shown | {"water_ul": reward * self.protocol.reward_ul}
        return self._observation(), float(reward), False, self._over, info

    def render(self) -> str | None:  # type: ignore[override]
        """The stimulus shown, as one line of text."""
        if self.render_mode is None:
            return None
        m = self._mouse
        return f"session {m.session + 1} trial {m.session_trial + 1} stage {m.stage} contrast {100 * float(m.contrast):+.4g} %"

    def _observation(self) -> np.ndarray:
        return np.array([self._mouse.contrast], np.float32)

    def _info(self) -> dict[str, Any]:
        m = self._mouse
        return {"stage": int(m.stage), "session": int(m.session), "trial": int(m.session_trial), "key": int(m.key)}
