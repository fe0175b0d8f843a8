"""Does the mouse slow down? Its median response time over the last 20 trials is compared with that over the whole session.

The last 20 are kept in a ring and their median is compared exactly: it exceeds a limit if at least 11 of them do, or if 10
do and the middle two have their mean above it. The median of the session comes from a histogram of log response times,
256 bins from 10 ms to 100 s, in which a pointer follows the median as times are added: a few operations per trial, no
sorting, and within 1.8 % of the exact (lower) median, half a bin.
"""

from __future__ import annotations

import math

from envs.compiled import kernel
from envs.records import Record
from envs.task.state import RECENT, TIME_BINS

SHORTEST, LONGEST = 0.01, 100.0  # seconds; times beyond fall into the outermost bins
_LOG_SHORTEST = math.log(SHORTEST)
_BINS_PER_LOG = TIME_BINS / math.log(LONGEST / SHORTEST)


@kernel
def add_response_time(mouse: Record) -> None:
    """Count the response time of the trial that has just ended; called before `session_trial` is raised."""
    seconds = mouse.response_time
    n = mouse.session_trial
    mouse.recent_times[n % RECENT] = seconds
    place = (math.log(max(seconds, SHORTEST)) - _LOG_SHORTEST) * _BINS_PER_LOG
    added = min(TIME_BINS - 1, int(place))
    mouse.time_counts[added] += 1
    if added < mouse.median_bin:
        mouse.below_median += 1
    rank = n // 2 + 1  # of the lower median among n + 1 times
    while mouse.below_median >= rank:
        mouse.median_bin -= 1
        mouse.below_median -= mouse.time_counts[mouse.median_bin]
    while mouse.below_median + mouse.time_counts[mouse.median_bin] < rank:
        mouse.below_median += mouse.time_counts[mouse.median_bin]
        mouse.median_bin += 1


@kernel
def session_median(mouse: Record) -> float:
    """Median response time of the session so far, seconds, to half a bin."""
    return math.exp(_LOG_SHORTEST + (mouse.median_bin + 0.5) / _BINS_PER_LOG)


@kernel
def recent_median_above(mouse: Record, limit: float) -> bool:
    """Does the median of the last 20 response times exceed a limit? They must be 20."""
    above = 0
    for i in range(RECENT):
        above += mouse.recent_times[i] > limit
    if 2 * above != RECENT:
        return 2 * above > RECENT
    lowest_above = math.inf
    highest_below = 0.0
    for i in range(RECENT):
        seconds = float(mouse.recent_times[i])
        if seconds > limit:
            lowest_above = min(lowest_above, seconds)
        else:
            highest_below = max(highest_below, seconds)
    return lowest_above + highest_below > 2.0 * limit


@kernel
def slowing(mouse: Record, factor: float) -> bool:
    """Has the median of the last 20 response times exceeded `factor` times that of the session?"""
    return mouse.session_trial >= RECENT and recent_median_above(mouse, factor * session_median(mouse))


@kernel
def forget_response_times(mouse: Record) -> None:
    """Start afresh, for a new session."""
    mouse.time_counts[:] = 0
    mouse.median_bin = 0
    mouse.below_median = 0
