"""Dates of sessions for formats that cannot do without: those that are known, and for others one day after the other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from twin.data.rollout import Rollout

FIRST_DAY = datetime(2000, 1, 1)  # of a mouse whose dates are not known


class Day(NamedTuple):
    """When a session was, and its number on that date, from 1; a time of 0:00 is none."""

    start: datetime
    number: int
    known: bool  # else the date stands for one that is not

    @property
    def date(self) -> str:
        """As 2021-03-31."""
        return f"{self.start:%Y-%m-%d}"


def days_of(rollout: Rollout) -> list[Day]:
    """The day of each session, in their order."""
    sessions = rollout.sessions
    dates = rollout.of_session.get("date", np.zeros(len(sessions.start), np.int32)).tolist()
    clocks = np.nan_to_num(rollout.of_session.get("clock_s", np.zeros(len(dates)))).tolist()
    found, numbers = [], dict[tuple[int, object], int]()
    for mouse, session, date, clock in zip(sessions.mouse.tolist(), sessions.session.tolist(), dates, clocks, strict=True):
        if not date:
            found.append(Day(FIRST_DAY + timedelta(days=session), session + 1, False))
            continue
        start = datetime(date // 10_000, date // 100 % 100, date % 100) + timedelta(seconds=int(clock))
        key = (mouse, start.date())
        numbers[key] = numbers.get(key, 0) + 1
        found.append(Day(start, numbers[key], True))
    return found
