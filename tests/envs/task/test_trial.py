"""One trial: what is shown, and when a stage ends. Facts of the rigs' own tests where they have some."""

from __future__ import annotations

import numpy as np
import pytest
from rig import TRAINING, Rig, only, outcomes, run

from envs import PROTOCOLS, load_protocol
from envs.task.stages import advance_stage, count_bits

SETS = [
    {1, 0.5},
    {1, 0.5, 0.25},
    {1, 0.5, 0.25, 0.125},
    {1, 0.5, 0.25, 0.125, 0.0625},
    {1, 0.5, 0.25, 0.125, 0.0625, 0},
    {1, 0.25, 0.125, 0.0625, 0},
]


@pytest.mark.parametrize("stage", range(6))
@pytest.mark.parametrize("name", TRAINING)
def test_each_stage_as_the_rig_tests_it(name, stage):
    rig = Rig(only(name, stage, reward_ul=1.9, adapts="never"), seed=4)
    trials = [rig.trial(end) for end in outcomes(800)]
    assert {t["contrast"] for t in trials} == SETS[stage]
    assert {t["drop_ul"] for t in trials} == {0.0, 1.9}
    if name != "ibl-2019":
        assert {t["left"] for t in trials} == {0.5}
    repeats = sum(t["is_repeat"] for t in trials)
    assert repeats == 0 if stage == 5 and name != "ibl-2019" else repeats > (20 if name == "ibl-v8" else 5)
    signed = np.array([t["contrast"] * (1 if t["right"] else -1) for t in trials if t["contrast"] > 0])
    counts = np.unique(signed, return_counts=True)[1]
    assert np.ptp(counts / counts.mean()) < 2 * 0.33


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75, 1.25])
def test_weights_give_their_probabilities(weight):
    contrasts = [round(1 - 0.1 * i, 1) for i in range(10)]
    protocol = load_protocol(stages=[{"contrasts": contrasts, "weights": [weight] + [1] * 9, "debias": False}])
    shown = run(protocol, 5000)["contrast"]
    observed = np.array([np.isclose(shown, c).sum() for c in contrasts])
    expected = 5000 * np.array([weight] + [1] * 9) / (9 + weight)
    assert np.sum((observed - expected) ** 2 / expected) < 27.9  # chi square, 9 degrees of freedom, p = .001


def test_default_weight_of_zero_is_half():
    stage = load_protocol(stages=[{"contrasts": [1, 0.5, 0]}]).stages[0]
    assert stage.probabilities == pytest.approx([0.4, 0.4, 0.2])


@pytest.mark.parametrize("name", TRAINING)
def test_side_of_zero_contrast_is_random(name):
    columns = run(only(name, 4), 4000)
    assert 0.4 < (columns["side"][columns["contrast"] == 0] > 0).mean() < 0.6


def test_rig_8_defect_zero_contrast_left():
    columns = run(only("ibl-v8", 4, zero_contrast_left=True), 4000)
    assert set(columns["side"][columns["contrast"] == 0]) == {-1}
    assert 0.4 < (columns["side"][columns["contrast"] > 0] > 0).mean() < 0.6


@pytest.mark.parametrize("bits", [0, 1, 2**50 - 1, 0xDEADBEEFCAFE, 2**64 - 1])
def test_count_bits(bits):
    assert count_bits(np.uint64(bits)) == bits.bit_count()


# --- when a stage ends


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize(("correct", "stage"), [(40, 0), (41, 1)])
def test_advance_at_exactly_41_of_50(name, correct, stage):
    rig = Rig(name)
    for index in range(2):
        rig.mouse.outcomes[:, index] = np.uint64(2**50 - 1)
    rig.mouse.outcomes[1, 1] = np.uint64(2**correct - 1) << np.uint64(50 - correct)
    advance_stage(rig.record, rig.mouse)
    assert rig.mouse.stage == stage


@pytest.mark.parametrize("name", TRAINING)
def test_only_the_last_50_count(name):
    rig = Rig(only(name, 0))
    while min(count_bits(bits) for bits in rig.mouse.outcomes[:, :2].ravel()) < 50:
        rig.trial("correct")
    rig.trial("wrong")
    rig.trial("correct")  # rigs 4-7 count a trial when the next is prepared
    assert sorted(count_bits(bits) for bits in rig.mouse.outcomes[:, :2].ravel()) == [49, 50, 50, 50]


def test_a_perfect_mouse_goes_through_all_stages_in_order():
    for name in TRAINING:
        rig = Rig(load_protocol(name, session_trials=5000))
        stages = [rig.trial("correct")["stage"] for _ in range(2500)]
        assert sorted(set(stages)) == list(range(6)), name
        assert np.all(np.diff(stages) >= 0)


@pytest.mark.parametrize("name", ["ibl-v8", "ibl-documented"])
def test_rig_8_counter_counts_the_trial_about_to_start(name):
    starts = Rig(name, stage=2)
    stages = [starts.trial("correct")["stage"] for _ in range(450)]
    assert stages.count(2) == 199  # the session starts in the stage
    assert stages.count(3) == 200  # the stage is entered in mid-session


def test_rig_2019_counts_completed_trials_that_are_no_repeats():
    rig = Rig("ibl-2019", stage=2)
    trials = [rig.trial(end) for end in np.random.default_rng(1).choice(["correct", "wrong"], 400)]
    counted = [not t["is_repeat"] for t in trials if t["stage"] == 2]
    assert sum(counted) == 200
    assert len(counted) > 200


def test_performance_persists_in_2019_and_not_in_rig_8():
    for name, persists in (("ibl-2019", True), ("ibl-v8", False), ("ibl-documented", False)):
        rig = Rig(name, stage=2)
        for _ in range(100):
            rig.trial("correct")
        before = rig.mouse.outcomes.copy()
        counter = int(rig.mouse.stage_trials)
        rig.night()
        assert rig.mouse.stage == 2
        assert (int(rig.mouse.stage_trials) == counter) is persists
        assert np.array_equal(rig.mouse.outcomes, before if persists else 0 * before)
        assert rig.mouse.responses == rig.mouse.n_responses == 0


def test_the_last_trial_of_a_session_never_counts_in_2019():
    for name, counted in (("ibl-2019", 2), ("ibl-v8", 3)):
        rig = Rig(name)
        for _ in range(3):
            rig.trial("correct")
        assert sum(count_bits(bits) for bits in rig.mouse.outcomes.ravel()) == counted
    rig = Rig("ibl-2019")
    for _ in range(3):
        rig.trial("correct")
        rig.night()
        rig.trial("correct")
    assert sum(count_bits(bits) for bits in rig.mouse.outcomes.ravel()) == 2


def test_rig_8_defect_scaled_contrast_check_stops_progress():
    rig = Rig(load_protocol("ibl-v8", scaled_contrast_check=True))
    assert {rig.trial("correct")["stage"] for _ in range(1500)} == {0}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_same_trials_twice_and_others_for_another_mouse(name):
    first, again, other = (run(PROTOCOLS[name], 300, ends=(1, 0, 1, -1), seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(first[column], again[column]) for column in first)
    assert not np.array_equal(first["side"], other["side"])
