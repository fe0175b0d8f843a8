"""Behaviour described once, by counting as anybody would."""

import json

import numpy as np
import pytest
from rollouts import rollout

from twin.evaluation.digest import digest
from twin.evaluation.performance import MICE_SHOWN, behavior, session_in_order


def plain_performance(data, least):
    """Fraction rewarded of the easy trials of each session: {(mouse, session): fraction}."""
    return {
        (m, s): data.reward[(data.mouse == m) & (data.session == s) & (np.abs(data.contrast) >= least)].mean()
        for m, s in zip(data.sessions.mouse, data.sessions.session, strict=True)
    }


def test_first_and_last_sessions_of_every_mouse():
    data = rollout()  # 8, 7 and 6 sessions
    results = behavior(data)
    correct = plain_performance(data, 0.5)
    last = {0: 8, 1: 7, 2: 6}
    assert results["easy_performance_first3"] == pytest.approx(np.mean([v for (_, s), v in correct.items() if s < 3]))
    assert results["easy_performance_last3"] == pytest.approx(np.mean([v for (m, s), v in correct.items() if s >= last[m] - 3]))
    ends = {"first": data.session < 3, "last": data.session >= np.array([8, 7, 6])[data.mouse] - 3}
    for end, pick in ends.items():
        curve = results["psychometric_curves"][end]
        for level, n, right in zip(np.unique(data.contrast), curve["choices"], curve["right"], strict=True):
            here = pick & (data.contrast == level)
            assert (n, right) == (np.sum(here & (data.choice >= 0)), np.sum(here & (data.choice == 1)))
    assert results["psychometric"] == results["psychometric_curves"]["last"]["fit"]


def test_easy_trials_are_the_strongest_where_none_is_strong():
    data = rollout(contrasts=(-0.25, 0.125, 0.25))
    results = behavior(data)
    assert results["learning_curve"]["easy_contrast"] == 0.25
    correct = plain_performance(data, 0.25)
    assert results["easy_performance_first3"] == pytest.approx(np.mean([v for (_, s), v in correct.items() if s < 3]))
    assert results["psychometric"] is None
    assert "3 of the 4" in results["psychometric_curves"]["last"]["reason"]


def test_learning_curve_counts_the_mice_behind_it():
    data = rollout(contrasts=(-0.25, 0.25))
    curve = behavior(data)["learning_curve"]
    correct = plain_performance(data, 0.25)
    assert curve["mice"] == [3, 3, 3, 3, 3, 3, 2, 1]
    sessions = [[v for (_, s), v in correct.items() if s == number] for number in range(8)]
    assert curve["median"] == pytest.approx([np.median(values) for values in sessions])
    assert np.transpose(curve["quartiles"]) == pytest.approx(np.array([np.quantile(v, [0.25, 0.75]) for v in sessions]))
    assert curve["single_mice"]["m2"] == [*(pytest.approx(correct[2, s]) for s in range(6)), None, None]
    assert len(behavior(rollout(mice=50, sessions=2, trials=10))["learning_curve"]["single_mice"]) == MICE_SHOWN


def test_stages_are_those_at_the_end_of_sessions():
    fractions = behavior(rollout())["stage_fractions"]
    assert fractions["0"] == [1] + [0] * 7
    assert fractions["5"] == [0] * 5 + [1] * 3
    assert behavior(rollout(staged=False))["stage_fractions"] == {}


def test_sessions_to_stage():
    reached = behavior(rollout(mice=6, sessions=6))["sessions_to_stage"]  # 6, 5, .. 1 sessions, stage k in session k + 1
    assert [reached[str(k)]["fraction_reached"] for k in range(1, 6)] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [reached[str(k)]["median"] for k in range(1, 6)] == [2, 3, 4, 5, 6]


def test_first_and_last_sessions_overlap_in_short_records():
    position, from_end = session_in_order(digest(rollout(mice=2, sessions=4, trials=1)))
    assert position.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert from_end.tolist() == [4, 3, 2, 1, 3, 2, 1]
    curves = behavior(rollout(mice=2, sessions=2))["psychometric_curves"]
    assert curves["first"] == curves["last"]


def test_results_are_plain_numbers():
    results = behavior(rollout(trials=3))  # some sessions have no easy trial
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_every_mouse_has_a_row():
    data = rollout()
    correct = plain_performance(data, 0.5)
    rows = behavior(data)["mice_table"]
    assert [(row["id"], row["sessions"], row["trials"]) for row in rows] == [("m0", 8, 480), ("m1", 7, 420), ("m2", 6, 360)]
    for m, row in enumerate(rows):
        assert row["easy_performance_first3"] == pytest.approx(np.mean([correct[m, s] for s in range(3)]))
        assert row["easy_performance_last3"] == pytest.approx(np.mean([correct[m, 7 - m - s] for s in range(3)]))
        assert (row["status"], row["stage"]) == (None, 5)
    assert {row["stage"] for row in behavior(rollout(staged=False))["mice_table"]} == {None}


def test_curve_over_mice_counts_each_mouse_once():
    data = rollout(mice=4, sessions=5)
    curve = behavior(data)["psychometric_over_mice"]["last"]
    last = data.session >= np.array([5, 4, 3, 2])[data.mouse] - 3
    for level, n, mean in zip(np.unique(data.contrast), curve["mice"], curve["mean"], strict=True):
        here = last & (data.contrast == level) & (data.choice >= 0)
        of_mice = [data.choice[here & (data.mouse == m)].mean() for m in range(4)]
        assert (n, mean) == (4, pytest.approx(np.mean(of_mice)))
    assert curve["stages"] == {"1": 1, "2": 1, "3": 1, "4": 1}
    assert list(curve["single_mice"]) == ["m0", "m1", "m2", "m3"]
    assert behavior(rollout(mice=1))["psychometric_over_mice"]["last"]["ci95"] == [[None] * 9] * 2


def test_a_median_of_few_mice_is_told():
    assert behavior(rollout(mice=3, sessions=1))["learning_curve"]["least_mice"] == 3
    assert behavior(rollout(mice=20, sessions=1, trials=9))["learning_curve"]["least_mice"] == 5
    assert behavior(rollout(mice=80, sessions=1, trials=9))["learning_curve"]["least_mice"] == 8
