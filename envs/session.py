"""Sessions: when one ends, and what carries over to the next.

Between sessions the stage persists, if the session was long enough to count; performance buffers, counters, the response
history and the water delivered start afresh (iblrig 8: only the phase is stored).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.compiled import kernel
from envs.task import MOUSE_DTYPE


@kernel
def session_over(protocol: Any, mouse: Any) -> bool:
    """Has the current session reached its length?"""
    return mouse.session_trial >= protocol.session_trials


@kernel
def next_session(protocol: Any, mouse: Any) -> None:
    """Put the mouse at the start of its next session."""
    if mouse.session_trial >= protocol.history_trials:
        mouse.kept_stage = mouse.stage
    mouse.stage = mouse.kept_stage
    mouse.session += 1
    mouse.session_trial = 0
    mouse.stage_trials = 0
    mouse.responses = 0
    mouse.n_responses = 0
    mouse.outcomes[:] = 0
    mouse.error = False
    mouse.water_ul = 0.0


def new_mice(keys: np.ndarray, stage: int = 0) -> np.ndarray:
    """Rig records of mice on their first day, (mice,); `keys` (mice,) from `envs.draws.mouse_key`."""
    mice = np.zeros(len(keys), MOUSE_DTYPE)
    mice["key"] = keys
    mice["stage"] = mice["kept_stage"] = stage
    return mice
