"""A forecast and its tests: quantiles of what twins do, what is scored, and the words that come of it."""

import numpy as np
import pytest

import twin
from twin.evaluation.status import Status
from twin.twins.backtest import back_test, cut_at, summary_of
from twin.twins.forecast import mouse_under
from twin.twins.forecasters import TWIN, next_choices, pooled_rate
from twin.twins.futures import Futures, compare_on_twins, describe
from twin.twins.model import TwinModel

SESSIONS = 6


@pytest.fixture(scope="module")
def rollout():
    return twin.simulate(twin.Cohort(population="ibl", mice=1), "ibl-2019", sessions=SESSIONS, seed=53)


@pytest.fixture(scope="module")
def found(rollout):
    return twin.forecast(rollout, sessions=3, twins=20)


def test_a_forecast_goes_on_from_the_record(found, rollout):
    table = found.table()
    assert np.shape(table["accuracy"]) == (5, 3)
    assert np.all(np.diff(np.array(table["accuracy"], float), axis=0) >= 0)
    assert "20 twins, 3 sessions under 'ibl-2019'" in repr(found)
    assert found.futures.trials.mean() == pytest.approx(np.diff(rollout.sessions.start).mean(), rel=0.35)
    assert twin.forecast(rollout, sessions=3, twins=20).table() == table


def test_days_and_chances_by_hand():
    """Three twins: one trained on day 2, one on day 3, one never."""
    status = np.array([[0, 1, 1], [0, 0, 2], [0, 0, 0]], np.int8)
    counts = np.array([[0, 4], [2, 4], [1, 0]])
    futures = Futures(np.full((3, 3), np.nan), np.full((3, 3), 5), status, np.array([-100.0, 100.0]), counts // 2, counts)
    table = describe(futures, Status.IN_TRAINING)
    assert table["statuses"]["trained_1a"]["by_session"] == pytest.approx([0, 1 / 3, 2 / 3])
    assert table["statuses"]["trained_1a"]["sessions"] == [2.0, 2.0, 3.0, None, None]
    assert list(describe(futures, Status.TRAINED_1A)["statuses"]) == ["trained_1b"]
    assert table["accuracy"] == [[None] * 3] * 5


def test_a_design_on_twins_against_itself_differs_by_nothing(found):
    protocol = found.protocol
    outcomes, compared = compare_on_twins(found.twins, {"a": protocol, "b": protocol}, "trained_1a", 3)
    assert compared["comparisons"][0]["difference"] == 0
    assert outcomes["a"].sessions.shape == (20,)
    by_forecast = found.futures.days_to(Status.TRAINED_1A)
    assert np.array_equal(np.where(np.isfinite(by_forecast), by_forecast, 3), outcomes["a"].sessions)


@pytest.fixture(scope="module")
def cut(rollout):
    mouse, _ = mouse_under(rollout, None, None, None)
    return cut_at(mouse, 1500, TwinModel(), sessions=2, twins=16)


def test_a_cut_is_the_evening_of_a_session(cut, rollout):
    assert cut.trial in rollout.sessions.stop and cut.trial >= 1500
    assert cut.known.sessions == np.flatnonzero(rollout.sessions.stop == cut.trial)[0] + 1
    with pytest.raises(ValueError, match="a back-test at trial 99999: mouse 'mouse-0000' has"):
        cut_at(cut.later, 99999, TwinModel())


def test_every_forecaster_is_scored_on_the_same(cut):
    scored = back_test(cut, {"workers": 1})
    table = summary_of(scored)
    assert next(iter(table)) == TWIN and len(table) == 6
    assert {(one["sessions"], one["choices"]) for one in table.values()} == {(2, 500)}
    assert all(one["crps"] >= 0 and one["log_score"] < 0 for one in table.values())
    assert "pit" not in table["last session"] and sum(table[TWIN]["pit"]) == 2


def test_next_choices_of_one_mouse_are_its_likelihood(cut, rollout):
    """Of the true parameters alone the mixture is the filter's own log-probability."""
    layout = cut.model.cohort.layout
    alone, twice = (next_choices(cut, layout, np.repeat(rollout.theta, n, axis=0)) for n in (1, 2))
    assert len(alone) == 500 and twice == pytest.approx(alone)
    assert alone.mean() > np.log(0.5)


def test_a_pooled_rate_is_the_one_the_mice_share():
    cohort = twin.Cohort(mice=3, rule="reinforce", parameters={"rate": 0.02})
    trials = twin.Trials.from_rollout(twin.simulate(cohort, trials=1500, seed=2))
    rate = pooled_rate([trials], cohort.layout)[cohort.layout.index("rate")[0]]
    assert rate == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"population": "ibl", "rule": "reinforce"}, "rule: the population 'ibl' says it"),
        ({"population": "ibk"}, "unknown population 'ibk'; did you mean 'ibl'"),
        ({"free": ("day_nois",)}, "did you mean 'day_noise'"),
        ({"free": ("engaged_trials",)}, "free parameter that the population's mice share: 'engaged_trials'|free parameter"),
    ],
)
def test_wrong_models_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TwinModel(**given)
