"""Debiasing: what is repeated, and on which side, rig by rig."""

from __future__ import annotations

import pytest
from numba import njit
from rig import TRAINING, Rig
from scipy.special import ndtr

from envs import load_protocol
from envs.draws import mouse_keys
from envs.task.debias import left_fraction, place_repeat
from envs.task.session import new_mice


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
    mice["responses"] = 2**tenths - 1
    mice["n_responses"] = 10
    mice["left_responses"] = tenths
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
    rig = Rig("ibl-2019", stage=stage)
    number = 0
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
        rig.mouse.wrong = True
        rig.mouse.contrast_index = rig.protocol.contrasts.index(0.25)
        repeat = rig.drawn(1, "correct")
        assert (repeat["is_repeat"], repeat["left"]) == (True, 0.0)  # 1 - m, all ten responses left
        after = rig.drawn(0.25, "correct")
        assert (after["is_repeat"], after["contrast"], after["left"]) == (False, 1.0, 0.5)
        sides.append(after["right"])
    assert sum(sides) == 200  # drawn with the repeat's P(left) = 0, though .5 is stored
