"""Training status of the IBL: its names, what each one asks of a mouse, and when mice reach it.

How the status of a session is decided is in `training_status`. Sources: ibllib `brainbox/behavior/training.py` (criteria) and
`ibllib/pipes/training_status.py` (names and their order).
"""

from __future__ import annotations

import math
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.evaluation.session_summary import check_offsets

Floats = npt.NDArray[np.float64]

PATIENCE = 40  # sessions before untrainable and unbiasable, ibllib get_latest_training_information


class Status(IntEnum):
    """Training status, in order of progress (ibllib `TRAINING_STATUS`)."""

    UNTRAINABLE = -4
    UNBIASABLE = -3
    NOT_COMPUTED = -2
    HABITUATION = -1
    IN_TRAINING = 0
    TRAINED_1A = 1
    TRAINED_1B = 2
    READY4EPHYSRIG = 3
    READY4DELAY = 4
    READY4RECORDING = 5

    @property
    def label(self) -> str:
        """Name as written in files and reports, such as "trained_1a"."""
        return "in training" if self is Status.IN_TRAINING else self.name.lower()

    @classmethod
    def parse(cls, label: str) -> Status:
        """The status with this label; spaces and underscores are the same. Raises ValueError if there is none."""
        for status in cls:
            if status.name == label.strip().replace(" ", "_").upper():
                return status
        raise ValueError(f"no training status {label!r}; expected one of {', '.join(s.label for s in cls)}")


class Task(IntEnum):
    """The task of a session: trainingChoiceWorld, biasedChoiceWorld, ephysChoiceWorld, habituationChoiceWorld."""

    TRAINING = 0
    BIASED = 1
    EPHYS = 2
    HABITUATION = 3


class Criteria(NamedTuple):
    """What a window must satisfy; every inequality is strict, and an infinite bound is no criterion."""

    trials: float  # more than this in every session
    easy: float  # more than this fraction correct at |contrast| >= 50 %, no-gos wrong, in every session
    zero_contrast: bool  # zero-contrast trials must be in the window
    lapse: float  # each lapse below this
    bias: float = math.inf  # |bias| below this, percent
    threshold: float = math.inf  # threshold below this, percent
    response_time: float = math.inf  # median at zero contrast below this, s; NaN fails
    bias_shift: float = -math.inf  # bias in .8 blocks minus bias in .2 blocks above this, percent


# ibllib criterion_1a; values from averages of sessions judged good
TRAINED_1A = Criteria(trials=200.0, easy=0.8, zero_contrast=True, lapse=0.2, bias=16.0, threshold=19.0)
# ibllib criterion_1b; its threshold is looser than that of 1a, which ibllib notes and keeps
TRAINED_1B = Criteria(trials=400.0, easy=0.9, zero_contrast=True, lapse=0.1, bias=10.0, threshold=20.0, response_time=2.0)
# ibllib criterion_ephys; lapses in both blocks. Its trials and easy also serve criterion_delay, in any rig session
READY4EPHYSRIG = Criteria(trials=400.0, easy=0.9, zero_contrast=False, lapse=0.1, response_time=2.0, bias_shift=5.0)


def sessions_to_status(status: npt.ArrayLike, mice: npt.ArrayLike, target: Status | str) -> Floats:
    """Sessions a mouse took to reach `target`, that session included, habituation not: (M,), NaN where not reached.

    status: (S,) from `training_status`. A target below "in training" is reached only by being exactly that.
    """
    return _total_until(status, mice, np.ones(np.size(status)), target)


def trials_to_status(status: npt.ArrayLike, mice: npt.ArrayLike, n_trials: npt.ArrayLike, target: Status | str) -> Floats:
    """As `sessions_to_status`, counting the trials of those sessions; n_trials: (S,)."""
    return _total_until(status, mice, per_session("n_trials", n_trials, np.size(status), np.float64), target)


def _total_until(status: npt.ArrayLike, mice: npt.ArrayLike, amount: npt.NDArray[Any], target: Status | str) -> Floats:
    goal = Status.parse(target) if isinstance(target, str) else target
    days = np.asarray(status)
    starts = check_offsets("mice", mice, days.size)
    reached = days == goal if goal < Status.IN_TRAINING else days >= goal
    running = np.cumsum(np.where(days == Status.HABITUATION, 0.0, amount))
    total = np.full(starts.size - 1, np.nan)
    for mouse, (first, last) in enumerate(pairwise(starts)):
        hits = np.flatnonzero(reached[first:last])
        if hits.size:
            total[mouse] = running[first + hits[0]] - (running[first - 1] if first else 0.0)
    return total


def per_session(name: str, values: npt.ArrayLike, n_sessions: int, dtype: type) -> npt.NDArray[Any]:
    """One value for each session, (S,), from those or from one for all. Raises ValueError for another shape."""
    column: npt.NDArray[Any] = np.array(values, dtype=dtype)
    if column.shape not in ((), (n_sessions,)):
        raise ValueError(f"{name} has shape {column.shape}; expected one value, or one per session: ({n_sessions},)")
    return np.full(n_sessions, column) if column.ndim == 0 else column
