"""What the scalar and the vector environment share: one compiled step of one mouse, and the checks of what a user gives.

Compiled functions take the arrays that hold the records, since handing over an array costs less than handing over a record.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.compiled import kernel
from envs.protocols import Protocol
from envs.records import Record
from envs.task.session import next_session, session_over
from envs.task.trial import draw, score

LEFT, RIGHT, NO_GO = 0, 1, 2
RESPONSE_TIME = 0.5  # seconds; what a bare `step(action)` takes to answer, about the median of trained mice
RENDER_MODES = ["ansi", "rgb_array"]

# Where the mouse stands, before the trial that is shown; in the info of reset and step.
STANDING = {"stage": np.int64, "session": np.int64, "trial": np.int64, "clock": np.float64, "gain": np.float64}
# The trial just finished, as the rig recorded it; in the info of step.
FINISHED = {
    "correct_choice": np.int64,  # 0 left, 1 right
    "probability_left": np.float64,  # as the rig stores it; under `ibl-2019` .5 after a chain of repeats, whose side it keeps
    "is_repeat": np.bool_,
    "choice": np.int64,  # 0 left, 1 right, -1 no-go
    "response_time": np.float64,
    "water_ul": np.float64,
}


class StepResults(NamedTuple):
    """What a step of M mice returns, (M,) each; the fields after `over` are the infos FINISHED and STANDING."""

    contrast: np.ndarray
    reward: np.ndarray
    over: np.ndarray
    correct_choice: np.ndarray
    probability_left: np.ndarray
    is_repeat: np.ndarray
    choice: np.ndarray
    response_time: np.ndarray
    water_ul: np.ndarray
    stage: np.ndarray
    session: np.ndarray
    trial: np.ndarray
    clock: np.ndarray
    gain: np.ndarray

    @classmethod
    def of(cls, mice: int) -> StepResults:
        """Arrays to be filled."""
        kinds = (np.float32, np.float64, np.bool_, *FINISHED.values(), *STANDING.values())
        return cls(*(np.zeros(mice, kind) for kind in kinds))


@kernel
def step_mouse(rig: Record, mice: Record, m: int, action: int, seconds: float) -> tuple:
    """One step of mouse m, in place: its values of StepResults. The contrast is 0 once the session is over."""
    protocol = rig[0]
    mouse = mice[m]
    correct_choice = 1 if mouse.side > 0 else 0
    left = mouse.probability_left
    is_repeat = mouse.is_repeat
    reward = float(score(protocol, mouse, action if action < NO_GO else -1, seconds))
    over = session_over(protocol, mouse)
    if over:
        mouse.contrast = 0.0
    else:
        draw(protocol, mouse)
    finished = (correct_choice, left, is_repeat, int(mouse.choice), mouse.response_time, mouse.drop_ul)
    standing = (mouse.stage, mouse.session, mouse.session_trial, mouse.clock, mouse.gain)
    return (mouse.contrast, reward, over, *finished, *standing)


@kernel
def begin_session(rig: Record, mice: Record, m: int, stage: int) -> None:
    """Put mouse m before the first trial of a session: its next one, if it has done anything in this one.

    `stage` is where to begin, or negative for where the mouse stands.
    """
    protocol = rig[0]
    mouse = mice[m]
    if mouse.session_trial > 0:
        next_session(protocol, mouse)
    if stage >= 0:
        mouse.stage = mouse.kept_stage = stage
        mouse.stage_trials = 0
    draw(protocol, mouse)


def stage_option(protocol: Protocol, options: dict[str, Any] | None) -> int:
    """`options["stage"]`, or -1. Raises ValueError naming the stages there are, or an option there is not."""
    if not isinstance(options, dict | None):
        raise ValueError(f"options = {options!r}: expected a dictionary such as {{'stage': 3}}")
    options = options or {}
    for name in options.keys() - {"stage", "reset_mask"}:
        raise ValueError(f"unknown option {name!r}; reset takes 'stage' (and, for a vector environment, 'reset_mask')")
    if "stage" not in options:
        return -1
    last, stage = len(protocol.stages) - 1, options["stage"]
    if isinstance(stage, bool) or not isinstance(stage, int | np.integer) or not 0 <= stage <= last:
        raise ValueError(f"options['stage'] = {stage!r}; protocol {protocol.name!r} has stages 0 to {last}")
    return int(stage)


def check_render_mode(mode: str | None) -> None:
    """Raise ValueError for a mode there is not."""
    if mode not in (None, *RENDER_MODES):
        raise ValueError(f"render_mode {mode!r}; expected one of {RENDER_MODES} or None")


def plain_action(action: Any, mouse: int) -> Any:
    """An action as the plain number it holds: an array of one, as policies return it, is that one.

    Raises ValueError for what is not 0, 1 or 2.
    """
    if hasattr(action, "__array__"):
        array = np.asarray(action)
        if array.size != 1:
            raise ValueError(f"mouse {mouse}: an action of shape {array.shape}; expected one: 0 (left), 1 (right) or 2 (no-go)")
        action = array.item()
    check_action(action, mouse)
    return int(action)


def check_action(action: Any, mouse: int) -> None:
    """Raise ValueError unless the action is 0, 1 or 2."""
    if action not in (LEFT, RIGHT, NO_GO):
        raise ValueError(f"mouse {mouse}: action {action!r}; expected 0 (left), 1 (right) or 2 (no-go)")


def session_is_over(mouse: int) -> RuntimeError:
    """The error of a step without a session."""
    return RuntimeError(f"mouse {mouse}: its session is over (or never began); call reset() before step()")


def no_mouse() -> RuntimeError:
    """The error of a question about a mouse before there is one."""
    return RuntimeError("there is no mouse yet; call reset() first")
