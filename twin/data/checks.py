"""What must be true of the values of a rollout, wherever they come from."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import NamedTuple

import numpy as np

from agents.features import feature_codes
from twin.data.rollout import TASKS, Rollout


class Range(NamedTuple):
    """Values that a column may have."""

    low: float
    high: float
    unknown: bool = False  # may a value be unknown, NaN?


RANGES = {
    "session": Range(0, inf),
    "contrast": Range(-1, 1),
    "side": Range(-1, 1),  # 0: unknown
    "choice": Range(-1, 1),
    "reward": Range(-1, 1),  # -1: unknown
    "probability_left": Range(0, 1, unknown=True),
    "stage": Range(-1, inf),
    "p_right": Range(0, 1),
    "water_ul": Range(0, inf),
    "response_time": Range(0, inf, unknown=True),
    "start_time": Range(0, inf, unknown=True),
    "protocol": Range(0, inf),
    "status": Range(-4, 5),
    "date": Range(0, 99_991_231),
    "clock_s": Range(0, 86_400, unknown=True),
    "task": Range(-1, len(TASKS) - 1),
    "weight_g": Range(0, 1_000, unknown=True),
}


def check_rollout(rollout: Rollout) -> None:
    """Raise ValueError, naming column, mouse and trial, unless offsets, ids, sessions and every value are possible."""
    _check_mice(rollout)
    _check_shapes(rollout)
    _check_order(rollout)
    for name, values in rollout.columns.items():
        _check_range(rollout, name, values, "trial")
    for name, values in rollout.of_session.items():
        if values.shape != (expected := (len(rollout.sessions.start),)):
            raise ValueError(f"{name} of the sessions has the shape {values.shape}; expected {expected}, by the trials")
        _check_range(rollout, name, values, "session")


def _check_mice(rollout: Rollout) -> None:
    starts, ids = rollout.starts, rollout.ids
    for mouse, count in Counter(ids).items():
        if count > 1:
            raise ValueError(f"the id {mouse!r} is there {count} times; expected every mouse once")
    if not ids:
        raise ValueError("there are no mice; expected one or more")
    if len(starts) != len(ids) + 1 or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        raise ValueError("where mice start does not rise from 0, one number for each mouse and one for the end")


def _check_shapes(rollout: Rollout) -> None:
    n, mice = len(rollout), rollout.n_mice
    expected: dict[str, tuple[int, ...]] = dict.fromkeys(rollout.columns, (n,))
    shapes: dict[str, tuple[int, ...]] = {name: values.shape for name, values in rollout.columns.items()}
    if rollout.weights is not None:
        feature_codes(rollout.features)
        expected["weights"], shapes["weights"] = (n, len(rollout.features)), rollout.weights.shape
    if rollout.keys is not None:
        expected["keys"], shapes["keys"] = (mice,), rollout.keys.shape
    if rollout.theta is not None:
        expected["theta"], shapes["theta"] = (mice, len(rollout.theta_names)), rollout.theta.shape
        if len(set(rollout.theta_names)) < len(rollout.theta_names):
            raise ValueError(f"the names of theta are {list(rollout.theta_names)}; expected each once")
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise ValueError(f"{name} has the shape {shape}; expected {expected[name]}, by where mice start")


def _check_order(rollout: Rollout) -> None:
    session = rollout.session
    for i in np.flatnonzero((np.diff(rollout.mouse) == 0) & (session[1:] < session[:-1]))[:1]:
        mouse = rollout.mouse[i]
        raise ValueError(
            f"session of mouse {rollout.ids[mouse]!r} falls from {session[i]} to {session[i + 1]} at trial "
            f"{i + 1 - rollout.starts[mouse]}; expected sessions in order"
        )


def _check_range(rollout: Rollout, name: str, values: np.ndarray, of: str) -> None:
    """Raise ValueError for a value that a column may not have."""
    if name not in RANGES or not len(values):
        return
    low, high, unknown = RANGES[name]
    right = (values >= low) & (values <= high)
    if values.dtype.kind == "f":
        right &= np.isfinite(values)
        right |= unknown & np.isnan(values)
    if right.all():
        return
    wrong = int(np.argmin(right))
    mouse = rollout.mouse[wrong] if of == "trial" else rollout.sessions.mouse[wrong]
    first = rollout.starts[mouse] if of == "trial" else np.searchsorted(rollout.sessions.mouse, mouse)
    raise ValueError(
        f"{name} of mouse {rollout.ids[mouse]!r}, {of} {wrong - first}: {values[wrong]}; expected {low:g} to {high:g}"
    )
