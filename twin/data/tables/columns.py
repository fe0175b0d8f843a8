"""A rollout as a table: the columns that recorded data have, under their documented names, choices -1 left, 1 right, 0 none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from twin.data.rollout import REQUIRED, TASKS, Rollout

TIMES = ("response_time", "start_time", "water_ul")  # trial columns that go by the same name in a table
OWN_MARK = "simulated"  # the last column, by which a table that was written here is told
CARRIED = (*REQUIRED, *TIMES, "is_repeat")
CARRIED_OF_SESSION = ("date", "clock_s", "task", "weight_g")
FIRST = ("subject", "session", "date", "contrast_left", "contrast_right", "choice", "correct", "probability_left")
WRITTEN_CHOICES = {-1: 0, 0: -1, 1: 1}  # as in memory -> as written


def columns_of(rollout: Rollout) -> dict[str, np.ndarray]:
    """Columns (N,) of a table of all trials: text, whole numbers, or float32 with NaN for what is not told."""
    contrast, side = rollout.contrast, rollout.side
    size = np.abs(contrast)
    empty = (contrast == 0) & (side != 0)  # no number on the other side marks the rewarded one
    left = np.where(side < 0, size, np.where(empty, np.nan, np.where(contrast < 0, size, 0))).astype(np.float32)
    right = np.where(side > 0, size, np.where(empty, np.nan, np.where(contrast > 0, size, 0))).astype(np.float32)
    choice = np.array([WRITTEN_CHOICES[code] for code in (0, 1, -1)], np.int8)[rollout.choice]
    found = {
        "subject": np.array(rollout.ids, object)[rollout.mouse],
        "session": rollout.session,
        "date": _dates(rollout),
        "contrast_left": left,
        "contrast_right": right,
        "choice": choice,
        "correct": np.where(rollout.reward < 0, np.nan, rollout.reward).astype(np.float32),
        "probability_left": rollout.probability_left,
    }
    found |= {name: rollout.columns[name] for name in TIMES if name in rollout.columns}
    if "is_repeat" in rollout.columns:
        found["is_repeat"] = rollout.columns["is_repeat"].astype(np.int8)
    if "task" in rollout.of_session:
        found["task"] = _by_trial(rollout, np.array([*TASKS, ""], object)[rollout.of_session["task"]])
    if "weight_g" in rollout.of_session:
        found["weight_g"] = _by_trial(rollout, rollout.of_session["weight_g"])
    return found | {OWN_MARK: np.full(len(rollout), int(rollout.simulated), np.int8)}


def _by_trial(rollout: Rollout, values: np.ndarray) -> np.ndarray:
    return np.repeat(values, rollout.sessions.stop - rollout.sessions.start)


def _dates(rollout: Rollout) -> np.ndarray:
    """Date of each trial as text, with the time its session began at if that is told; empty where none is."""
    sessions = len(rollout.sessions.start)
    dates = rollout.of_session.get("date", np.zeros(sessions, np.int32))
    clocks = rollout.of_session.get("clock_s", np.full(sessions, np.nan, np.float32))
    texts = [date_text(date, clock) for date, clock in zip(dates.tolist(), clocks.tolist(), strict=True)]
    return _by_trial(rollout, np.array(texts, object))


def date_text(date: int, clock: float) -> str:
    """A date of `of_session` as 2021-03-31, with T10:30:00 if its time is known; empty if there is none."""
    if not date:
        return ""
    day = f"{date // 10_000:04d}-{date // 100 % 100:02d}-{date % 100:02d}"
    seconds = 0 if np.isnan(clock) else int(clock)
    return day if np.isnan(clock) else f"{day}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def is_own_header(header: list[str]) -> bool:
    """Are these the columns of a table that was written here?"""
    return tuple(header[: len(FIRST)]) == FIRST and header[-1] == OWN_MARK


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name under which to write a file of its own, which replaces `path` when the block ends; else nothing is left."""
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        os.close(handle)
        yield Path(partial)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)  # as any new file; a temporary one is its owner's alone
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends; else nothing is left."""
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o777 & ~umask)
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
