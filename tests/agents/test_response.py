"""Response times, no-gos and engagement, against the figures their defaults are taken from."""

from __future__ import annotations

import numpy as np
import pytest

from agents.response import FADE_TRIALS, RESPONSE_TRAITS, response_time
from envs.draws import mouse_key
from twin.cohort import Cohort
from twin.simulation import simulate

TRAITS = np.array([p.default for p in RESPONSE_TRAITS])
KEY = np.uint64(mouse_key(1, 0))


def changed(**traits: float) -> np.ndarray:
    names = [p.name for p in RESPONSE_TRAITS]
    row = TRAITS.copy()
    for name, value in traits.items():
        row[names.index(name)] = value
    return row


def times(evidence: float, traits: np.ndarray, session_trial: int = 0, n: int = 4000) -> np.ndarray:
    return np.array([response_time(traits, evidence, (KEY, t, 0, session_trial)) for t in range(n)])


# |decision variable| that a trained mouse's accuracy implies, median and quartiles (s) of public sessions
@pytest.mark.parametrize(("evidence", "median"), [(0.0, 0.541), (1.1, 0.424), (1.5, 0.371), (2.1, 0.348), (4.0, 0.309)])
def test_median_response_time_falls_with_evidence(evidence, median):
    shown = times(evidence, changed(no_go=0.0))
    assert np.median(shown) == pytest.approx(median, rel=0.09)
    assert np.median(times(-evidence, changed(no_go=0.0))) == np.median(shown)
    assert shown.min() > 0.15


def test_quartiles():
    low, high = np.quantile(times(4.0, changed(no_go=0.0)), [0.25, 0.75])
    assert low == pytest.approx(0.233, rel=0.06)
    assert high == pytest.approx(0.454, rel=0.12)
    assert np.quantile(times(0.0, changed(no_go=0.0)), 0.75) > 1.2  # 2.7 s in the data: a heavy tail


def test_no_go_probability():
    assert (times(1.0, changed(no_go=0.2)) < 0).mean() == pytest.approx(0.2, abs=0.02)
    assert not (times(1.0, changed(no_go=0.0)) < 0).any()


def test_engagement_fades():
    traits = changed(no_go=0.0, engaged_spread=0.0, engaged_trials=500)
    fresh, last, faded = (np.median(times(2.0, traits, n)) - 0.15 for n in (0, 500, 500 + int(FADE_TRIALS)))
    assert fresh == last
    assert faded == pytest.approx(np.e * fresh)


def test_days_differ():
    traits = changed(no_go=0.0, response_sigma=0.0)
    days = [response_time(traits, 2.0, (KEY, 0, session, 500)) for session in range(200)]
    engaged = np.isclose(days, min(days))
    assert 0.35 < engaged.mean() < 0.65


@pytest.fixture(scope="module")
def trained():
    traits = {"initial_weight.stimulus": 5.0, "lapse_low": 0.04, "lapse_high": 0.04}
    return simulate(Cohort(mice=40, rule="static", parameters=traits), "biased", sessions=5)


def test_sessions_last_as_long_as_real_ones(trained):
    length = trained.sessions.stop - trained.sessions.start
    assert 500 < length.mean() < 760  # public sessions: 557 in training, 722 when trained
    assert 80 < length.std() < 260
    assert length.min() >= 300


def test_response_times_of_trained_mice(trained):
    assert 0.25 < np.median(trained.response_time) < 0.8  # medians of nine sessions: .245 to .804 s
    assert 0.03 < (trained.response_time > 2).mean() < 0.2  # 13 %
    assert (trained.choice < 0).mean() < 0.01  # .45 %
    contrasts = (0.0, 0.0625, 0.125, 0.25, 1.0)
    medians = [np.median(trained.response_time[np.abs(trained.contrast) == c]) for c in contrasts]
    assert medians == sorted(medians, reverse=True)


def test_a_no_go_takes_the_response_window(trained):
    assert set(trained.response_time[trained.choice < 0]) == {60.0}
    assert trained.response_time[trained.choice >= 0].max() < 60.0
    assert not trained.reward[trained.choice < 0].any()


def test_clock_of_a_session(trained):
    first = trained.sessions.start
    last = trained.sessions.stop - 1
    assert not trained.start_time[first].any()
    assert trained.start_time[last].max() < 90 * 60
    step = np.diff(trained.start_time)[~trained.new_session[1:]]
    spent = (trained.response_time + 1.0 + np.where(trained.reward, 1.0, 2.0))[:-1][~trained.new_session[1:]]
    assert np.all((step - spent > 0.399) & (step - spent < 0.701))  # the rest is the time without movement


def test_runs_of_sessions_and_of_trials_are_the_same_mice():
    cohort = Cohort(mice=3)
    by_session = simulate(cohort, "ibl-2019", sessions=3, seed=4)
    assert set(by_session.session) == {0, 1, 2}
    longest = int(np.diff(by_session.starts).max())
    by_trial = simulate(cohort, "ibl-2019", trials=longest, seed=4)
    stepped = simulate(cohort, "ibl-2019", sessions=3, seed=4, driver="stepped")
    for m in range(3):
        rows = by_session.of_mouse(m)
        n = rows.stop - rows.start
        for name, column in by_session.columns.items():
            assert np.array_equal(column[rows], by_trial.columns[name][by_trial.of_mouse(m)][:n]), name
            assert np.array_equal(column, stepped.columns[name]), name
