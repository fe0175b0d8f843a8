"""One trial: stimuli, debiasing, blocks, and when a stage ends. Facts of the rigs' own tests where they have some."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit
from rig import Rig, only, outcomes
from scipy.special import ndtr

from envs import PROTOCOLS, load_protocol
from envs.debias import left_fraction, place_repeat
from envs.draws import mouse_keys
from envs.session import new_mice
from envs.stages import advance_stage, count_bits
from envs.task import draw, score

SETS = [
    {1, 0.5},
    {1, 0.5, 0.25},
    {1, 0.5, 0.25, 0.125},
    {1, 0.5, 0.25, 0.125, 0.0625},
    {1, 0.5, 0.25, 0.125, 0.0625, 0},
    {1, 0.25, 0.125, 0.0625, 0},
]
TRAINING = ("ibl-2019", "ibl-v8", "ibl-documented")


@njit
def _run(protocol, mice, ends, trials, quiescence, contrast, side, left, block, block_trial):
    """Trials of mouse 0, ended by `ends`: 1 correct, 0 wrong, -1 no-go."""
    for t in range(trials):
        draw(protocol[0], mice[0])
        mouse = mice[0]
        quiescence[t], contrast[t], side[t] = mouse.quiescence, abs(mouse.contrast), mouse.side
        left[t], block[t], block_trial[t] = mouse.probability_left, mouse.block, mouse.block_trial
        right = 1 if mouse.side > 0 else 0
        end = ends[t % ends.shape[0]]
        score(protocol[0], mice[0], -1 if end < 0 else (right if end == 1 else 1 - right), 0.5)


def run(protocol, trials, ends=(1,), seed=1):
    """Columns of `_run`, one session long."""
    names = ("quiescence", "contrast", "side", "left", "block", "block_trial")
    columns = {name: np.zeros(trials) for name in names}
    mice = new_mice(protocol.record[0], mouse_keys(seed, 1))
    _run(protocol.record, mice, np.array(ends), trials, *columns.values())
    return columns


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
        before, counter = rig.mouse.outcomes.copy(), int(rig.mouse.stage_trials)
        rig.night()
        assert rig.mouse.stage == 2
        assert (int(rig.mouse.stage_trials) == counter) is persists
        assert np.array_equal(rig.mouse.outcomes, before if persists else 0 * before)
        assert rig.mouse.responses == rig.mouse.n_responses == 0


def test_rig_8_defect_scaled_contrast_check_stops_progress():
    rig = Rig(load_protocol("ibl-v8", scaled_contrast_check=True))
    assert {rig.trial("correct")["stage"] for _ in range(1500)} == {0}


# --- debiasing


@njit
def _rights(protocol, mice, trials):
    rights = 0
    for t in range(trials):
        mice[0].trial = t
        rights += place_repeat(protocol[0], mice[0], 0)
    return rights


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("tenths", [0, 2, 5, 10])
def test_side_of_a_repeat_is_the_neglected_one(name, tenths):
    protocol = load_protocol(name)
    mice = new_mice(protocol.record[0], mouse_keys(1, 1))
    mice["responses"], mice["n_responses"], mice["left_responses"] = 2**tenths - 1, 10, tenths
    expected = ndtr((tenths / 10 - 0.5) / 0.5)  # all left: .841 on the right
    assert _rights(protocol.record, mice, 20_000) / 20_000 == pytest.approx(expected, abs=0.012)


def test_windows_of_the_left_fraction():
    for protocol, expected in (
        (load_protocol("ibl-documented"), 0.1),  # RRRRRRRRR L
        (load_protocol("ibl-v8", debias_whole_session=True), 3 / 12),  # of twelve responses
        (load_protocol("ibl-2019"), 0.1),
    ):
        rig = Rig(protocol)
        for end in ["left"] * 2 + ["right"] * 9 + ["no-go", "left"]:
            rig.trial(end)
        assert left_fraction(rig.record, rig.mouse) == pytest.approx(expected)


def test_left_fraction_starts_from_zeros_in_2019_and_from_nothing_later():
    for name, one_left, no_go in (("ibl-2019", 0.1, 0.0), ("ibl-v8", 1.0, 0.5)):
        rig = Rig(name)
        rig.trial("no-go")
        assert left_fraction(rig.record, rig.mouse) == no_go
        rig.trial("left")
        assert left_fraction(rig.record, rig.mouse) == one_left


@pytest.mark.parametrize(("name", "repeated"), [("ibl-2019", True), ("ibl-v8", True), ("ibl-documented", False)])
def test_whether_a_no_go_is_repeated(name, repeated):
    rig = Rig(name)
    rig.trial("no-go")
    assert rig.trial()["is_repeat"] is repeated


@pytest.mark.parametrize("name", ["ibl-v8", "ibl-documented"])
def test_documented_repeats(name):
    rig = Rig(name, stage=1)
    assert not rig.drawn(0.25, "wrong")["is_repeat"]
    assert not rig.drawn(0.5, "wrong")["is_repeat"]  # .25 is too low a contrast to be repeated
    chain = [rig.drawn(0.25, "wrong"), rig.drawn(1.0, "correct"), rig.drawn(0.25, "correct")]
    assert [(t["is_repeat"], t["contrast"]) for t in chain] == [(True, 0.5), (True, 0.5), (False, 0.25)]


# Stage, then (newly drawn contrast, end, contrast shown, number in the chain of repeats); worked by hand.
GRAMMAR_2019 = {
    "a hard error is repeated once, then the held contrast is shown": (
        5,
        [(0.25, "wrong", 0.25, 0), (1, "wrong", 0.25, 1), (0.125, "correct", 1, 0), (0.125, "correct", 0.125, 0)],
    ),
    "an easy error is not repeated if the new contrast is hard": (
        5,
        [(1, "wrong", 1, 0), (0.25, "correct", 0.25, 0)],
    ),
    "an easy error is repeated until correct": (
        5,
        [(1, "wrong", 1, 0), (1, "wrong", 1, 1), (0.25, "wrong", 1, 2), (0, "correct", 1, 3), (0, "correct", 1, 0)],
    ),
    "zero contrast is repeated too": (
        5,
        [(0, "no-go", 0, 0), (1, "correct", 0, 1), (0.0625, "correct", 1, 0)],
    ),
    "the held contrast need not be the failed one": (
        0,
        [(0.5, "wrong", 0.5, 0), (1, "correct", 0.5, 1), (0.5, "wrong", 1, 0), (0.5, "correct", 1, 1), (1, "correct", 0.5, 0)],
    ),
    "repNum of the rig's training_lt5": (
        0,
        [(1, "wrong", 1, 0), (1, "wrong", 1, 1), (1, "correct", 1, 2), (0.5, "correct", 1, 0)],
    ),
    "repNum of the rig's training_ge5": (
        0,
        [
            (1, "correct", 1, 0), (1, "wrong", 1, 0), (1, "wrong", 1, 1), (1, "wrong", 1, 2), (1, "correct", 1, 3),
            (1, "correct", 1, 0), (1, "correct", 1, 0), (1, "wrong", 1, 0), (1, "wrong", 1, 1), (1, "correct", 1, 2),
            (1, "wrong", 1, 0), (1, "correct", 1, 1),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAMMAR_2019)
def test_chains_of_repeats_in_2019(case):
    stage, steps = GRAMMAR_2019[case]
    rig, number = Rig("ibl-2019", stage=stage), 0
    for step, (drawn, end, shown, chain) in enumerate(steps):
        trial = rig.drawn(drawn, end)
        number = number + 1 if trial["is_repeat"] else 0
        assert (trial["contrast"], number) == (shown, chain), f"step {step}"


def test_probability_left_and_the_side_carried_over_in_2019():
    sides = []
    for seed in range(200):
        rig = Rig("ibl-2019", stage=5, seed=seed)
        for _ in range(10):
            rig.drawn(0.25, "left")
        rig.mouse.wrong, rig.mouse.contrast_index = True, rig.protocol.contrasts.index(0.25)
        repeat = rig.drawn(1, "correct")
        assert (repeat["is_repeat"], repeat["left"]) == (True, 0.0)  # 1 - m, all ten responses left
        after = rig.drawn(0.25, "correct")
        assert (after["is_repeat"], after["contrast"], after["left"]) == (False, 1.0, 0.5)
        sides.append(after["right"])
    assert sum(sides) == 200  # drawn with the repeat's P(left) = 0, though .5 is stored


# --- time without movement, blocks, tables


def test_quiescence():
    quiescence = run(PROTOCOLS["biased"], 40_000)["quiescence"]
    assert 0.4 <= quiescence.min() < 0.401
    assert 0.699 < quiescence.max() <= 0.7
    assert quiescence.mean() == pytest.approx(0.5289, abs=0.0015)
    assert quiescence.std() == pytest.approx(0.0850, abs=0.001)


@pytest.mark.parametrize("name", ["biased", "biased-half-zero", "ephys"])
def test_blocks(name):
    columns = run(PROTOCOLS[name], 60_000)
    starts = np.flatnonzero(np.diff(columns["block"], prepend=-1))
    lengths = np.diff(starts)
    left = columns["left"][starts]
    assert lengths[0] == 90
    assert left[0] == 0.5
    assert np.all(columns["block_trial"][starts] == 0)
    assert np.allclose(np.abs(np.diff(left[1:])), 0.6)
    assert lengths[1:].min() >= 20
    assert lengths[1:].max() <= 100
    assert lengths[1:].mean() == pytest.approx(50.86, abs=4 * 22 / math.sqrt(len(lengths)))
    for number in range(1, 40):
        inside = slice(starts[number], starts[number + 1])
        assert abs((columns["side"][inside] < 0).mean() - left[number]) < 0.4
    biased = columns["left"] == columns["left"].max()
    assert (columns["side"][biased] < 0).mean() == pytest.approx(0.8, abs=0.01)


def test_second_block_favours_either_side():
    left = [run(PROTOCOLS["biased"], 91, seed=seed)["left"][-1] for seed in range(60)]
    assert 15 < sum(np.isclose(left, 0.8)) < 45


@pytest.mark.parametrize(("name", "share"), [("biased", 1 / 5), ("biased-half-zero", 1 / 9), ("ephys", 1 / 9)])
def test_share_of_zero_contrast(name, share):
    assert (run(PROTOCOLS[name], 40_000)["contrast"] == 0).mean() == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize("seed", range(5))
def test_first_block_of_ephys_is_balanced(seed):
    columns = run(PROTOCOLS["ephys"], 90, seed=seed)
    assert (columns["side"] < 0).sum() == 45
    contrasts, counts = np.unique(columns["contrast"], return_counts=True)
    assert dict(zip(contrasts, counts, strict=True)) == {0: 10, 0.0625: 20, 0.125: 20, 0.25: 20, 1: 20}


def test_advanced_contingencies():
    rows = [(1, "left", 2, 2), (0.5, "left", 2, 2), (0.25, "left", 2, 1.5)]
    rows += [(1, "right", 1, 2.5), (0.5, "right", 1, 1), (0.25, "right", 1, 2.6)]
    table = [dict(zip(("contrast", "side", "probability", "reward_ul"), row, strict=True)) for row in rows]
    rig = Rig(load_protocol("advanced", stages=[{"contingencies": table, "debias": False}]))
    trials = [rig.trial(end) for end in outcomes(800)]
    assert {t["left"] for t in trials} == {2 / 3}
    earned = {(t["contrast"], "right" if t["right"] else "left"): t["drop_ul"] for t in trials if t["reward"]}
    assert earned == {(contrast, side): reward for contrast, side, _, reward in rows}
    assert {t["drop_ul"] for t in trials if not t["reward"]} == {0.0}
    right = sum(t["right"] for t in trials)
    assert len(trials) - right > 1.5 * right


def test_advanced_default_table():
    protocol = PROTOCOLS["advanced"]
    assert len(protocol.stages[0].contingencies) == 12
    assert protocol.stages[0].left == 0.5
    shown = run(protocol, 12_000)
    counts = np.unique(shown["contrast"] + 10 * shown["side"], return_counts=True)[1]
    assert counts.size == 12
    assert counts.min() > 880


def test_habituation_takes_no_choice_and_always_gives_water():
    rig = Rig("habituation")
    for end in ("left", "right", "no-go", "wrong"):
        trial = rig.trial(end)
        assert (trial["contrast"], trial["reward"], trial["drop_ul"], rig.mouse.choice) == (1.0, 1, 3.0, -1)
    times = []
    for _ in range(400):
        rig.trial()
        times.append(float(rig.mouse.response_time))
    assert np.mean(times) == pytest.approx(10, abs=0.4)
    assert np.std(times) == pytest.approx(2, abs=0.3)
    assert rig.mouse.clock == pytest.approx(rig.mouse.start_time + rig.mouse.quiescence + times[-1] + 1.5)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_same_trials_twice_and_others_for_another_mouse(name):
    first, again, other = (run(PROTOCOLS[name], 300, ends=(1, 0, 1, -1), seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(first[column], again[column]) for column in first)
    assert not np.array_equal(first["side"], other["side"])
