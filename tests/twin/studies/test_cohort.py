"""Kind `cohort`: its numbers against a count by hand of the trials it kept."""

from __future__ import annotations

import numpy as np
import pytest

from twin.data.store import read_rollout
from twin.evaluation.status import Status


@pytest.fixture
def days(finished):
    """Of each mouse, the (status, trials, easy trials, of those correct) of each session."""
    rollout = read_rollout(finished("cohort").folder / "rollouts.h5")
    found = [[] for _ in rollout.ids]
    for (mouse, _, start, stop), status in zip(zip(*rollout.sessions, strict=True), rollout.of_session["status"], strict=True):
        trials = slice(start, stop)
        easy = np.abs(rollout.contrast[trials]) >= 0.5
        found[mouse].append((status, stop - start, easy.sum(), (rollout.reward[trials][easy] == 1).sum()))
    return found


def test_mice_and_trials_are_those_simulated(finished, days):
    results = finished("cohort").results
    assert (results.mice, [len(mouse) for mouse in days]) == (5, [4] * 5)
    lengths = [trials for mouse in days for _, trials, _, _ in mouse]
    assert results.trials == sum(lengths)
    assert results.trials_per_session.mean == pytest.approx(np.mean(lengths))


def test_easy_performance_is_the_mean_over_sessions(finished, days):
    results = finished("cohort").results
    for found, pick in ((results.easy_performance_first3, slice(3)), (results.easy_performance_last3, slice(1, None))):
        assert found == pytest.approx(np.mean([right / easy for mouse in days for _, _, easy, right in mouse[pick]]))


def test_sessions_to_a_status_are_counted_of_the_mice_that_reached_it(finished, days):
    results = finished("cohort").results
    assert results.sessions_to_status
    assert results.sessions_to_status.keys() == results.trials_to_status.keys()
    for label, times in results.sessions_to_status.items():
        goal = Status.parse(label)
        first = [next((d for d, day in enumerate(mouse) if day[0] >= goal), None) for mouse in days]
        sessions = [d + 1 for d in first if d is not None]
        trials = [sum(day[1] for day in mouse[: d + 1]) for d, mouse in zip(first, days, strict=True) if d is not None]
        assert (times.mean, times.fraction_reached) == (pytest.approx(np.mean(sessions)), len(sessions) / 5)
        assert results.trials_to_status[label].median == np.median(trials)
        assert f"{label}: {20 * len(sessions)} % of mice, after {np.mean(sessions):.1f} sessions" in results.summary()
        assert f"<td>{label}</td>" in (finished("cohort").folder / "report.html").read_text()
