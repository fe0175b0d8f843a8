"""When mice are trained: what results say of it, and the training status of mice that were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from twin.data.rollout import Rollout
from twin.evaluation.status_times import by_blocks, told_tasks, with_status
from twin.report.tables import number
from twin.studies.results import BehaviorResults, Number, Record


class TimesToStatus(Record):
    """When mice reached a training status; times are those of the mice that did, the day they did included."""

    median: float = Field(description="median time")
    mean: float = Field(description="mean time")
    sd: Number = Field(description="standard deviation; null of one mouse")
    ci95: tuple[float, float] | None = Field(description="95 % interval of the mean (Student's t); null of one mouse")
    fraction_reached: float = Field(description="fraction of all mice that reached it")


class TrainingResults(BehaviorResults):
    """How mice perform, and when they are trained."""

    sessions_to_status: Mapping[str, TimesToStatus] = Field(description="sessions, by status that some mouse reached")
    trials_to_status: Mapping[str, TimesToStatus] = Field(description="trials, by status that some mouse reached")

    def status_lines(self) -> list[str]:
        """A line for each status that some mouse reached."""
        return [
            f"{status}: {100 * times.fraction_reached:.0f} % of mice, after {times.mean:.1f} sessions (sd {number(times.sd)})"
            for status, times in self.sessions_to_status.items()
        ]

    def status_text(self) -> list[str]:
        """When mice reached each training status, as text and table of a page."""
        from twin.report.html import table

        header = ["status", "mice that reached it", "sessions: mean", "sd", "median", "trials: mean", "sd", "median"]
        rows = [
            [label, f"{100 * times.fraction_reached:.0f} %", *_numbers(times), *_numbers(self.trials_to_status[label])]
            for label, times in self.sessions_to_status.items()
        ]
        return ["Of the mice that reached it, the session included.", table(rows, header)]


def _numbers(times: TimesToStatus) -> list[Any]:
    return [times.mean, times.sd, times.median]


def with_recorded_status(rollout: Rollout) -> tuple[Rollout, list[str]]:
    """A rollout with the training status of every session, unless it is there, and what that leans on, a sentence each."""
    if "status" in rollout.of_session or "protocol" in rollout.origin:
        return with_status(rollout), []
    notes = []
    if guessed := int(np.count_nonzero((told_tasks(rollout) < 0) & by_blocks(rollout))):
        notes.append(f"{guessed} sessions are taken for biasedChoiceWorld, since most of their trials are in blocks")
    if "response_time" not in rollout.columns or np.isnan(rollout.response_time).all():
        notes.append("without response times no mouse is trained_1b, and none ready4ephysrig")
    return with_status(rollout), notes
