"""ChoiceWorldVectorEnv: many mice of the IBL task as one Gymnasium vector environment, stepped by one compiled loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.checks import check_seconds, check_seed, whole
from envs.compiled import kernel
from envs.draws import mouse_key
from envs.gym.render import frame, line
from envs.gym.step import (
    FINISHED,
    NO_GO,
    RENDER_MODES,
    RESPONSE_TIME,
    STANDING,
    StepResults,
    begin_session,
    check_action,
    check_render_mode,
    no_mouse,
    stage_option,
    step_mouse,
)
from envs.protocols import ProtocolLike, find_protocol
from envs.records import Record
from envs.task.session import new_mice


@kernel
def _first_bad(actions: np.ndarray, seconds: np.ndarray, over: np.ndarray, resets: bool) -> int:
    """First mouse that cannot be stepped, or -1; where `resets`, what is given for one that is over does not matter."""
    for m in range(actions.shape[0]):
        if over[m]:
            if not resets:
                return m
        elif actions[m] < 0 or actions[m] > NO_GO or not 0.0 <= seconds[m] < math.inf:
            return m
    return -1


@kernel
def _begin_sessions(rig: Record, mice: Record, mask: np.ndarray, stage: int) -> None:
    for m in range(mask.shape[0]):
        if mask[m]:
            begin_session(rig, mice, m, stage)


@kernel
def _step_mice(rig: Record, mice: Record, actions: np.ndarray, seconds: np.ndarray, over: np.ndarray, results: Record) -> None:
    """One step of every mouse; one whose session is over begins the next instead."""
    for m in range(actions.shape[0]):
        if over[m]:
            begin_session(rig, mice, m, -1)
            results.contrast[m] = mice[m].contrast
            results.over[m] = False
            results.stage[m] = mice[m].stage
            results.session[m] = mice[m].session
            results.gain[m] = mice[m].gain
            continue
        (
            results.contrast[m],
            results.reward[m],
            results.over[m],
            results.correct_choice[m],
            results.probability_left[m],
            results.is_repeat[m],
            results.choice[m],
            results.response_time[m],
            results.water_ul[m],
            results.stage[m],
            results.session[m],
            results.trial[m],
            results.clock[m],
            results.gain[m],
        ) = step_mouse(rig, mice, m, actions[m], seconds[m])


class ChoiceWorldVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """The rigs of M mice; mouse i does the trials of a `ChoiceWorldEnv` with `mouse=i` and the same seed, bit for bit.

    Observations (M, 1), actions (M,), rewards (M,), infos as arrays (M,) with Gymnasium's masks: `_stage` says for which
    mice `stage` is given. By default nothing resets by itself (AutoresetMode.DISABLED): mice at the end of a session are
    reset by `reset(options={"reset_mask": truncated})`. With AutoresetMode.NEXT_STEP the step after the last begins
    their next session, whatever their action.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own declaration)
        "render_modes": RENDER_MODES,
        "render_fps": 1,
        "autoreset_mode": AutoresetMode.DISABLED,
    }

    def __init__(
        self,
        num_envs: int = 1,
        protocol: ProtocolLike = "ibl-documented",
        response_time: float = RESPONSE_TIME,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        mode = _autoreset_mode(autoreset_mode)
        self.protocol = find_protocol(protocol)
        self.num_envs = num_envs = whole("num_envs", num_envs, 1)
        self.response_time = check_seconds("response_time", response_time)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"autoreset_mode": mode}
        self.single_observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.single_action_space = gym.spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._resets = mode == AutoresetMode.NEXT_STEP
        self._rig = self.protocol.record
        self._mice: Any = None
        self._over = np.ones(num_envs, bool)

    @property
    def keys(self) -> np.ndarray:
        """Keys of the current mice, (M,) uint64."""
        if self._mice is None:
            raise no_mouse()
        return self._mice["key"].copy()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a session of every mouse, or of those in `options["reset_mask"]`; `seed` as in `ChoiceWorldEnv`."""
        stage = stage_option(self.protocol, options)
        mask = self._mask((options or {}).get("reset_mask"))
        self._seed(seed, mask)
        _begin_sessions(self._rig, self._mice, mask, stage)
        self._over[mask] = False
        mice = self._mice
        columns = {name: "session_trial" if name == "trial" else name for name in (*STANDING, "key")}
        standing = {name: mice[column].copy() for name, column in columns.items()}
        return mice["contrast"][:, None].copy(), _masked(standing, mask)

    def _mask(self, given: Any) -> np.ndarray:
        if given is None:
            return np.ones(self.num_envs, bool)
        mask = np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(f"reset_mask {given!r}; expected {self.num_envs} truth values, at least one of them true")
        if self._mice is None:
            raise RuntimeError("the first reset() must be of all mice: leave out reset_mask")
        return mask.copy()

    def _seed(self, seed: int | Sequence[int | None] | None, mask: np.ndarray) -> None:
        """New mice where a seed is given, and everywhere at the first reset."""
        if seed is None and self._mice is not None:
            return
        if seed is None or isinstance(seed, int | np.integer):
            if seed is not None:
                super().reset(seed=check_seed(seed))
            seeds: list[int | None] = [int(self.np_random.integers(2**32)) if seed is None else int(seed)] * self.num_envs
        else:
            seeds = _checked_seeds(seed, self.num_envs)
        if self._mice is None:
            self._mice = new_mice(self._rig[0], np.zeros(self.num_envs, np.uint64))
            seeds = [int(self.np_random.integers(2**32)) if s is None else s for s in seeds]
        for m, own in enumerate(seeds):
            if mask[m] and own is not None:
                key = mouse_key(np.uint64(own), m)
                self._mice[m : m + 1] = new_mice(self._rig[0], np.array([key], np.uint64))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """A choice of every mouse, (M,), all after `response_time` seconds."""
        return self.respond(actions, self.response_time)

    def respond(
        self, actions: np.ndarray, response_times: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As `step`, each mouse (M,) so many seconds after its stimulus appeared."""
        actions = self._per_mouse("actions", actions, "iu", "integers")
        if np.ndim(actions) == 0:
            raise ValueError(f"actions {actions}; expected {self.num_envs} integers, one for each mouse")
        actions = actions.astype(np.int64)
        seconds = np.full(self.num_envs, self._per_mouse("response_times", response_times, "fiu", "numbers of seconds"), float)
        bad = int(_first_bad(actions, seconds, self._over, self._resets and self._mice is not None))
        if bad >= 0:
            self._refuse(bad, actions, seconds)
        results = StepResults.of(self.num_envs)
        stepped = ~self._over
        _step_mice(self._rig, self._mice, actions, seconds, self._over, results)
        self._over = results.over.copy()
        finished, standing = ({name: getattr(results, name) for name in names} for names in (FINISHED, STANDING))
        infos = _masked(finished, stepped) | _masked(standing, np.ones(self.num_envs, bool))
        return results.contrast[:, None], results.reward, np.zeros(self.num_envs, bool), results.over, infos

    def _per_mouse(self, name: str, values: Any, kinds: str, what: str) -> np.ndarray:
        """One value for all mice, (), or one for each, (M,). Raises ValueError for another shape or kind."""
        try:
            array = np.asarray(values)
        except ValueError:  # rows of several lengths
            array = np.array(None)
        if array.shape not in ((), (self.num_envs,)) or array.dtype.kind not in kinds:
            raise ValueError(f"{name} {array.dtype} of shape {array.shape}; expected {self.num_envs} {what}")
        return array

    def _refuse(self, m: int, actions: np.ndarray, seconds: np.ndarray) -> None:
        """Raise the error of mouse m, which cannot be stepped."""
        if self._over[m]:
            raise RuntimeError(
                f"mouse {m}: its session is over (or never began); call reset(options={{'reset_mask': truncated}}) before "
                f"step(), or make the environment with autoreset_mode='NextStep', which resets by itself"
            )
        check_action(int(actions[m]), m)
        check_seconds(f"mouse {m}: response_time", float(seconds[m]))

    def render(self) -> tuple[Any, ...] | None:
        """What each mouse sees, as in `ChoiceWorldEnv.render`."""
        if self.render_mode is None:
            return None
        if self._mice is None:
            raise RuntimeError("nothing is shown yet; call reset() before render()")
        return tuple((line if self.render_mode == "ansi" else frame)(mouse) for mouse in self._mice)


def _masked(values: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    """Arrays of info with Gymnasium's mask beside each."""
    return values | dict.fromkeys([f"_{name}" for name in values], mask)


def _autoreset_mode(given: Any) -> AutoresetMode:
    """Gymnasium's mode, given itself or its value. Raises ValueError for one there is not here."""
    known = (AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP)
    for mode in known:
        if given in (mode, mode.value):
            return mode
    shown = given.value if isinstance(given, AutoresetMode) else given
    raise ValueError(f"autoreset_mode {shown!r}; expected DISABLED or NEXT_STEP ({' or '.join(repr(m.value) for m in known)})")


def _checked_seeds(given: Any, mice: int) -> list[int | None]:
    """One seed, or None, for each mouse. Raises ValueError for another number of them, or what is no seed."""
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        check_seed(given)
    if len(given) != mice:
        raise ValueError(f"{len(given)} seeds for {mice} mice; give one number, or one for each")
    return [None if seed is None else check_seed(seed, f"seed of mouse {m}") for m, seed in enumerate(given)]
