"""Sessions: the clock, when one ends, and what carries over to the next."""

from __future__ import annotations

import numpy as np
import pytest
from rig import Rig

from envs import PROTOCOLS, load_protocol
from envs.task.session import RIG_2019, RIG_V8, adapted_gain, adapted_reward, session_over
from envs.task.slowing import recent_median_above, session_median


def play(rig: Rig, n: int, end: str = "correct", seconds: float = 0.5) -> None:
    for _ in range(n):
        rig.trial(end, seconds)


def over(rig: Rig) -> bool:
    return bool(session_over(rig.record, rig.mouse))


# --- the clock


@pytest.mark.parametrize(("end", "feedback"), [("correct", 1.0), ("wrong", 2.0), ("no-go", 2.0)])
def test_clock(end, feedback):
    rig = Rig("ibl-v8")
    play(rig, 1, end, 0.8)
    waited = 60.0 if end == "no-go" else 0.8
    assert rig.mouse.response_time == waited
    assert rig.mouse.clock == pytest.approx(rig.mouse.quiescence + waited + feedback + 1.0)
    first = float(rig.mouse.clock)
    play(rig, 1)
    assert rig.mouse.start_time == first


def test_an_answer_after_the_window_is_a_no_go():
    rig = Rig(load_protocol("ibl-v8", response_window_s=10))
    assert rig.trial("correct", 9.99)["reward"] == 1
    assert rig.trial("correct", 10.0)["reward"] == 0
    assert (rig.mouse.choice, rig.mouse.response_time) == (-1, 10.0)


# --- when a session ends


@pytest.mark.parametrize("name", PROTOCOLS)
def test_trial_cap(name):
    rig = Rig(load_protocol(name, session_minutes=0, few_minutes=0, slow_factor=0))
    cap = rig.protocol.session_trials
    assert cap == (571 if name == "constant" else 2000)
    rig.mouse.session_trial = cap - 1
    assert not over(rig)
    rig.mouse.session_trial = cap
    assert over(rig)


@pytest.mark.parametrize("name", ["ibl-2019", "ibl-v8", "ibl-documented", "biased", "ephys", "advanced"])
def test_time_rules(name):
    rig = Rig(name)
    cases = [(400, 44.9, False), (400, 45.0, True), (401, 45.0, False), (401, 89.9, False), (401, 90.0, True)]
    for trials, minutes, ends in cases:
        rig.mouse.session_trial = trials
        rig.mouse.clock = 60 * minutes
        rig.mouse.recent_times[:] = 0.0
        assert over(rig) is ends, (trials, minutes)


@pytest.mark.parametrize(("name", "waits"), [("ibl-2019", False), ("ibl-v8", True)])
def test_slowing_down_ends_a_session(name, waits):
    rig = Rig(name)
    play(rig, 401, seconds=0.5)
    play(rig, 10, seconds=2.6)
    assert not over(rig)  # the median of the last 20 lies between .5 and 2.6 s, below 5 times .5 s
    play(rig, 1, seconds=2.6)
    assert rig.mouse.clock < 45 * 60
    assert over(rig) is not waits
    rig.mouse.clock = 45 * 60
    assert over(rig)


def test_slowing_down_does_not_count_before_400_trials():
    rig = Rig("ibl-2019")
    play(rig, 360, seconds=0.5)
    play(rig, 40, seconds=3.0)
    assert not over(rig)
    play(rig, 1, seconds=3.0)
    assert over(rig)


@pytest.mark.parametrize("seed", range(4))
def test_running_medians(seed):
    rig = Rig("ibl-2019")
    times = np.random.default_rng(seed).lognormal(-0.7, 1.2, 300)
    for n, seconds in enumerate(times, start=1):
        play(rig, 1, seconds=seconds)
        lower_median = np.sort(times[:n])[(n - 1) // 2]
        assert session_median(rig.mouse) == pytest.approx(min(lower_median, 60), rel=0.0182)
        if n >= 20:
            recent = np.median(times[:n][-20:].astype(np.float32).astype(float))
            assert recent_median_above(rig.mouse, recent * (1 - 1e-6))
            assert not recent_median_above(rig.mouse, recent * (1 + 1e-6))


# --- what carries over


# weight g, last microlitres, delivered microlitres, trials: the new volume, of iblrig's test_choice_world.py
@pytest.mark.parametrize(
    ("case", "volume"),
    [
        ((25, 3, 1234, 399), 2.9),
        ((25, 3, 1234, 123), 3.0),
        ((25, 2.3, 234, 123), 2.4),
        ((25, 3, 234, 123), 3),
        ((25, 1.5, 1234, 423), 1.5),
    ],
)
def test_reward_of_rig_8(case, volume):
    weight, last, delivered, trials = case
    assert adapted_reward(RIG_V8, last, weight, delivered, trials, 1.5, 3.0) == volume


# ... and of iblrig 6.6.4's test_adaptive.py, where no weight is known
@pytest.mark.parametrize(("trials", "volume"), [(199, 999.0), (200, 998.9)])
def test_reward_of_rig_6_without_a_weight(trials, volume):
    assert adapted_reward(RIG_2019, 999.0, 0.0, 500.0, trials, 1.5, 3.0) == volume


@pytest.mark.parametrize(
    ("last", "delivered", "trials", "volume"),
    [(2.0, 900, 300, 1.9), (2.0, 700, 300, 2.1), (1.5, 900, 300, 1.5), (3.0, 700, 300, 3.0), (2.0, 900, 199, 2.0)],
)
def test_reward_of_rig_6(last, delivered, trials, volume):
    assert adapted_reward(RIG_2019, last, 20.0, delivered, trials, 1.5, 3.0) == pytest.approx(volume)


@pytest.mark.parametrize(
    ("rule", "gain", "trials", "responses", "after"),
    [
        (RIG_V8, 8, 300, 200, 8),
        (RIG_V8, 8, 300, 201, 4),
        (RIG_V8, 4, 50, 50, 4),  # it stays
        (RIG_V8, 5, 50, 50, 5),
        (RIG_2019, 8, 199, 199, 8),
        (RIG_2019, 8, 200, 0, 4),
        (RIG_2019, 4, 199, 199, 8),  # it returns
    ],
)
def test_gain(rule, gain, trials, responses, after):
    assert adapted_gain(rule, gain, trials, responses, 8, 4) == after


def test_first_day_of_rig_8():
    mouse = Rig("ibl-v8").mouse
    assert (mouse.stage, mouse.reward_ul, mouse.gain) == (0, 3.0, 8.0)
    given = Rig(load_protocol("ibl-v8", reward_ul=2.9, gain=6.0), stage=4).mouse
    assert (given.stage, given.reward_ul, given.gain) == (4, 2.9, 6.0)


# iblrig's test_choice_world.py: stage, volume and gain after a day; 17 g, short days count
@pytest.mark.parametrize(
    ("stage", "gain", "delivered", "responses", "after"),
    [(2, 8, 1050, 2, (2, 2.1, 8)), (2, 8, 1050, 201, (2, 2.0, 4)), (1, 5, 500, 2, (1, 2.2, 5))],
)
def test_history_of_rig_8(stage, gain, delivered, responses, after):
    rig = Rig(load_protocol("ibl-v8", body_weight_g=17, history_trials=1), stage=stage)
    mouse = rig.mouse
    mouse.reward_ul = 2.1
    mouse.gain = gain
    mouse.water_ul = delivered
    mouse.session_trial = mouse.n_responses = responses
    rig.night()
    assert (mouse.stage, mouse.gain) == (after[0], after[2])
    assert mouse.reward_ul == pytest.approx(after[1])


@pytest.mark.parametrize(("trials", "stage"), [(42, 0), (43, 1)])
def test_a_session_counts_from_43_trials_in_rig_8(trials, stage):
    rig = Rig("ibl-v8")
    play(rig, trials, "wrong")
    rig.mouse.stage = 1
    rig.night()
    assert rig.mouse.stage == stage


def test_every_session_counts_in_2019():
    rig = Rig("ibl-2019")
    rig.mouse.stage = 1
    play(rig, 1)
    rig.night()
    assert rig.mouse.stage == 1
    assert rig.mouse.reward_ul == 3.0
    assert rig.mouse.gain == 8.0


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_night_forgets_the_day(name):
    rig = Rig(name)
    play(rig, 60, "wrong")
    rig.night()
    mouse = rig.mouse
    assert (mouse.session, mouse.session_trial, mouse.clock, mouse.water_ul, mouse.held) == (1, 0, 0.0, 0.0, -1)
    assert not mouse.wrong
    assert not mouse.time_counts.any()
    assert not rig.trial()["is_repeat"]


def test_water_of_a_session():
    rig = Rig("ibl-2019")
    play(rig, 10)
    play(rig, 5, "wrong")
    assert rig.mouse.water_ul == pytest.approx(30.0)
    rig.night()
    play(rig, 1)
    assert rig.mouse.drop_ul == 3.0  # it had less than it needs, and 3 is the most


def test_fixed_reward_and_gain_of_the_full_task():
    for name in ("biased", "ephys", "advanced"):
        rig = Rig(name)
        play(rig, 300)
        rig.night()
        assert (rig.mouse.reward_ul, rig.mouse.gain) == (1.5, 4.0)
