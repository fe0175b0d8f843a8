"""What evaluation needs of every session, counted part by part, so that the trials need not be in memory together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.data.rollout import Rollout, Sessions
from twin.data.store import StoredRollout
from twin.evaluation.session_summary import (
    EASY_CONTRAST,
    SessionSummary,
    easy_contrast,
    join_summaries,
    summarise_rollout,
)

# Columns that a digest is made of, where they are known; `session` is always read.
COLUMNS = ("contrast", "choice", "reward", "response_time", "probability_left", "stage")


class Stages(NamedTuple):
    """Stage of the protocol by session, (S,) each."""

    last: npt.NDArray[np.int8]  # at its last trial
    highest: npt.NDArray[np.int8]  # at any


class Digest(NamedTuple):
    """M mice and their S sessions."""

    ids: tuple[str, ...]
    trials: npt.NDArray[np.int64]  # (M,)
    sessions: Sessions
    of_session: dict[str, np.ndarray]
    easy: float  # contrast from which a trial is an easy one
    summary: SessionSummary  # without its times
    stages: Stages | None  # None if they are unknown

    @property
    def n_mice(self) -> int:
        """Number of mice."""
        return len(self.ids)


def digest(rollout: Rollout | StoredRollout) -> Digest:
    """The sessions of a rollout, which is read once (twice where no contrast is an easy one)."""
    easy = EASY_CONTRAST
    summary, stages, strongest = _read(rollout, easy)
    if strongest < easy:
        easy = strongest
        summary, stages, _ = _read(rollout, easy)
    trials = np.diff(rollout.starts)
    return Digest(rollout.ids, trials, rollout.sessions, dict(rollout.of_session), easy, summary, stages)


def _read(rollout: Rollout | StoredRollout, easy: float) -> tuple[SessionSummary, Stages | None, float]:
    """Counts and stages of all sessions, and the highest contrast."""
    summaries, stages, strongest = [], [], 0.0
    for part in rollout.parts(COLUMNS):
        summary = summarise_rollout(part, easy)
        summaries.append(summary._replace(zero_times=summary.zero_times[:0], zero_starts=np.zeros_like(summary.zero_starts)))
        strongest = max(strongest, easy_contrast(part.contrast))
        if "stage" in part.columns:
            start, stop = part.sessions.start, part.sessions.stop
            highest = np.maximum.reduceat(part.stage, start) if len(start) else part.stage[:0]
            stages.append(Stages(part.stage[stop - 1], highest))
    known = Stages(*(np.concatenate(column) for column in zip(*stages, strict=True))) if stages else None
    return join_summaries(summaries), known, strongest
