"""Summary statistics of a cohort against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

import twin
from twin.data.rollout import Rollout
from twin.evaluation.statistics.choices import CONTRASTS, LEVELS, repetitions
from twin.evaluation.statistics.definitions import aligned_curve
from twin.evaluation.statistics.mice import MouseNumbers, describe_mice, join_mice
from twin.evaluation.statistics.registry import estimates_of, statistics, values_of
from twin.evaluation.status import Status

D = 40  # sessions


def recorded(sessions, **more):
    """One mouse, from sessions of (contrast, choice) pairs; the side is that of the contrast, right at zero."""
    contrast, choice = (np.concatenate([np.array(pairs, float)[:, i] for pairs in sessions]) for i in (0, 1))
    side = np.where(contrast < 0, -1, 1)
    columns = {
        "session": np.repeat(np.arange(len(sessions)), [len(pairs) for pairs in sessions]).astype(np.int32),
        "contrast": contrast.astype(np.float32),
        "side": side.astype(np.int8),
        "choice": choice.astype(np.int8),
        "reward": (2 * choice - 1 == side).astype(np.int8),
        "probability_left": np.full(len(choice), 0.5, np.float32),
    }
    return Rollout(columns | more, np.array([0, len(choice)]), ("m",))


def numbers(mice=3, **columns):
    """A table of mice of whom nothing is known but what is given."""
    shapes = {"totals": (3,), "stays_training": (4,), "stays_biased": (4,), "p_right": (3, len(LEVELS))}
    shapes |= dict.fromkeys(("side_bias", "easy", "balanced"), (D,))
    shapes |= {name: (len(CONTRASTS),) for name in ("accuracy", "response_time")}
    blank = {name: np.full((mice, *shapes.get(name, ())), np.nan) for name in MouseNumbers._fields}
    for name, values in columns.items():
        rows = np.array(values, float)
        blank[name][tuple(slice(n) for n in rows.shape)] = rows
    return MouseNumbers(**blank)


def test_repetitions_by_hand():
    # left rewarded, left rewarded (stay), right wrong (left a win), right rewarded (same after error), none, left rewarded
    trials = [(-1, 0), (-1, 0), (-1, 1), (1, 1), (1, -1), (-1, 0)]
    assert repetitions(recorded([trials]), repeats=True).tolist() == [[2, 1, 1, 0]]
    # a pair across a night is none; left wrong then right rewarded is a shift
    assert repetitions(recorded([[(-1, 0)], [(1, 0), (1, 1)]]), repeats=True).tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]


def test_repeats_are_left_out_by_flag_or_by_what_the_rig_stored():
    trials = [[(1, 0), (1, 1), (-1, 1), (-1, 0)]]
    flagged = recorded(trials, is_repeat=np.array([False, True, False, False]))
    stored = recorded(trials, probability_left=np.array([0.5, 0.3, 0.5, 0.5], np.float32))
    for rollout in (flagged, stored):
        assert repetitions(rollout, repeats=False).tolist() == [[1, 1, 1, 1]]
    assert repetitions(flagged, repeats=True).tolist() == [[1, 1, 2, 2]]


def test_sessions_by_hand():
    first = [(1, 1), (1, 1), (1, 0), (-1, 1), (-1, 0), (0.25, -1), (0.25, 1), (-0.25, 1)]
    mice = describe_mice(recorded([first, [(1, 1)]]), horizon=D)
    assert mice.side_bias[0, 0] == pytest.approx((2 / 3 + 1 / 2) / 2 - 1 / 2)
    assert mice.easy[0, :2] == pytest.approx([3 / 5, 1])
    assert mice.balanced[0, 0] == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert np.isnan(mice.balanced[0, 1])  # one side alone
    assert mice.totals.tolist() == [[2, 9, 1]]
    assert mice.reached.tolist() == [0]
    assert mice.p_right[0, 0, LEVELS.index(100)] == pytest.approx(3 / 4)
    assert values_of(mice)["no_go"] == pytest.approx(1 / 9)
    assert values_of(mice)["trials_per_session"] == 4.5


def test_training_ends_with_proficiency_and_blocks_are_told_apart(real_mouse):
    """The mouse KS014 was proficient after 14 sessions; what it did after them is none of its training."""
    mice = describe_mice(twin.read(real_mouse))
    assert mice.sessions.tolist() == [14]
    assert mice.trials.tolist() == [9664]
    assert np.isfinite(mice.balanced[0]).sum() == 14
    by_hand = [0.44, 0.49, 0.48, 0.52, 0.48, 0.55, 0.63, 0.70, 0.71, 0.80, 0.75, 0.83, 0.90, 0.86]
    assert mice.balanced[0, :14] == pytest.approx(by_hand, abs=0.006)
    assert np.isnan(mice.accuracy).all()


def test_biased_sessions_of_a_record():
    session = [(1, 1), (-1, 0), (0, 1), (0, 0)] * 5
    blocks = np.concatenate([np.full(20, 0.5), np.tile([0.5, 0.2, 0.8, 0.2], 5)]).astype(np.float32)
    times = np.tile([0.2, 0.4, 0.6, 1.0], 10).astype(np.float32)
    mice = describe_mice(recorded([session, session], probability_left=blocks, response_time=times), horizon=D)
    assert mice.totals[0, 0] == 1  # training is the first
    assert mice.accuracy[0, [0, -1]] == pytest.approx([1, 0.5])
    assert mice.response_time[0, [0, -1]] == pytest.approx([0.3, 0.8])
    assert mice.stays_biased[0, 0] == 15  # every reward: the session ends with an error


def test_statistics_of_a_table_by_hand():
    values = values_of(
        numbers(
            reached=[1, 1, 0],
            sessions=[10, 20, np.nan],
            easy_error=[0.1, 0.2, np.nan],
            totals=[[10, 5000, 10], [20, 8000, 0], [60, 20000, 23]],
            stays_biased=[[10, 7, 5, 1], [10, 8, 5, 3], [0, 0, 0, 0]],
            side_bias=[[0.3, 0.3, 0.3, 0, 0, 0], [-0.4, -0.3, -0.3, 0, 0, 0], [0.1, 0.1, np.nan, 0, 0, 0]],
        )
    )
    assert values["reach"] == pytest.approx(2 / 3)
    assert values["sessions_to_proficiency"] == 15
    assert values["sessions_to_proficiency_sd"] == pytest.approx(np.sqrt(50))
    assert values["easy_error_at_proficiency"] == pytest.approx(0.15)
    assert values["trials_per_session"] == pytest.approx(33000 / 90)
    assert values["no_go"] == pytest.approx(0.001)
    assert (values["win_stay"], values["lose_shift"]) == (0.75, 0.4)
    assert (values["biased_early"], values["biased_early_right"]) == (1, 0.5)
    assert np.isnan(values["threshold_at_proficiency"])


def test_learning_curve_is_aligned_at_proficiency():
    nan = np.nan
    easy = [[0.3, 0.5, 0.7, 0.9, nan, nan], [0.5, 0.9, nan, nan, nan, nan], [0.1] * 6]
    mice = numbers(reached=[1, 1, 0], sessions=[4, 2, nan], easy=easy)
    assert aligned_curve(mice)[:4] == pytest.approx([0.9, 0.6, 0.5, 0.3])
    # .8 is a third of a session before the last one, .6 is reached one session before it
    assert values_of(mice)["sessions_from_60_to_80"] == pytest.approx(1 - 1 / 3, abs=1e-9)


def test_autocorrelation_of_a_bias_that_turns_every_day():
    assert values_of(numbers(side_bias=[[0.2, -0.2] * 20] * 3))["bias_autocorrelation"] == pytest.approx(-1)
    assert np.isnan(values_of(numbers(side_bias=np.full((3, D), 0.2)))["bias_autocorrelation"])


def test_intervals_are_those_of_the_mean_over_mice():
    sessions = np.random.default_rng(0).normal(20, 5, 400)
    estimate = estimates_of(numbers(400, reached=np.ones(400), sessions=sessions))["sessions_to_proficiency"]
    half = 1.96 * sessions.std() / 20
    assert estimate.value == pytest.approx(sessions.mean())
    assert [estimate.low, estimate.high] == pytest.approx([sessions.mean() - half, sessions.mean() + half], abs=0.15)
    assert estimates_of(numbers(4, reached=[0, 0, 0, 0]))["reach"] == (0, 0, 0)


def test_joined_parts_are_the_mice_in_a_row(small):
    rollout = small[1]
    parts = [describe_mice(rollout.select(some)) for some in ([0, 1], [2, 3])]
    for joined, whole in zip(join_mice(parts), describe_mice(rollout), strict=True):
        assert np.array_equal(joined, whole, equal_nan=True)


@pytest.mark.parametrize("name", statistics())
def test_every_statistic_is_within_its_range_or_unknown(name, small):
    statistic = statistics()[name]
    for mice in (describe_mice(small[1]), numbers(), numbers(1)):
        value = values_of(mice, [name])[name]
        assert np.isnan(value) or statistic.low <= value <= statistic.high
    assert statistic.doc
    assert statistic.unit


def test_proficiency_is_the_status_of_a_simulation():
    cohort = twin.Cohort(mice=3, parameters={"rate": 0.05, "lapse_low": 0.03, "lapse_high": 0.03})
    rollout = twin.simulate_until(cohort, "ibl-2019", until="trained_1a", horizon=12, seed=2)
    mice = describe_mice(rollout, 12)
    for m, sessions in enumerate(mice.sessions):
        days = rollout.of_session["status"][rollout.sessions.mouse == m]
        reached = np.flatnonzero(days >= Status.TRAINED_1A)
        assert (sessions == reached[0] + 1) if len(reached) else np.isnan(sessions)
    assert mice.reached.any()
