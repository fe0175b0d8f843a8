"""Time without movement, blocks, contingency tables and habituation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rig import Rig, outcomes, run

from envs import PROTOCOLS, load_protocol


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
