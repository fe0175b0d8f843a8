"""Recorded trials through the rig's own functions: a real mouse of 2019, and simulated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs import PROTOCOLS
from envs.task.session import new_mice, next_session
from envs.task.trial import begin_trial, score
from twin.cohort import Cohort
from twin.data.formats import read
from twin.data.rollout import Rollout
from twin.replay import replay
from twin.simulation import simulate

KS014 = Path(__file__).parents[3] / "shared" / "data" / "ibl_KS014_learning.csv.gz"
TRAINING = ("ibl-2019", "ibl-v8", "ibl-documented")


@pytest.fixture(scope="module")
def ks014() -> Rollout:
    if not KS014.exists():
        pytest.skip(f"{KS014} is absent: the recording is not part of this repository")
    return read(KS014)


def place(rollout: Rollout, trial: int) -> tuple[int, int]:
    """Session and trial of a row, both from 1."""
    session = int(rollout.session[trial])
    return session + 1, int(trial - np.flatnonzero(rollout.session == session)[0]) + 1


def test_every_trial_of_ks014_is_one_that_rigs_of_2019_show(ks014):
    result = replay(ks014, "ibl-2019")
    assert result.agrees.sum() == len(ks014) == 10_310
    assert result.by_session.tolist() == [1.0] * 15


def test_every_repeat_of_ks014_carries_the_stored_probability(ks014):
    result = replay(ks014, "ibl-2019")
    stored = np.abs(ks014.probability_left - 0.5) > 0.01
    assert stored.sum() == 3459
    assert (result.probability_left_agrees & result.is_repeat)[stored].sum() == 3459


def test_contrast_sets_of_ks014_change_where_the_recording_says(ks014):
    """Each stage must begin before its contrast is first seen, the last after .5 is last seen."""
    stage = replay(ks014, "ibl-2019").stage
    begins = [place(ks014, np.flatnonzero(stage >= s)[0]) for s in range(1, 6)]
    contrast = np.abs(ks014.contrast)
    first_seen = [place(ks014, np.flatnonzero(np.isclose(contrast, c))[0]) for c in (0.25, 0.125, 0.0625, 0)]
    assert first_seen == [(10, 222), (12, 742), (13, 192), (13, 388)]
    assert place(ks014, np.flatnonzero(np.isclose(contrast, 0.5))[-1]) == (13, 588)
    assert begins[:2] == [(10, 221), (12, 739)]  # the criteria are met one trial before
    assert begins[2:] == [(13, 180), (13, 384), (13, 591)]


def test_counters_of_ks014_with_only_the_visible_repeats_left_out(ks014):
    """Repeats that store .5 look like none; counted as trials, they bring the last stages forward (.5 is seen until 588)."""
    protocol = PROTOCOLS["ibl-2019"]
    rig, mouse = protocol.record[0], new_mice(protocol.record[0], np.zeros(1, np.uint64))[0]
    index = np.argmin(np.abs(np.abs(ks014.contrast)[:, None] - protocol.contrasts), axis=1)
    stage = np.zeros(len(ks014), int)
    for t in range(len(ks014)):
        if t and ks014.new_session[t]:
            next_session(rig, mouse)
        begin_trial(rig, mouse)
        stage[t], mouse.contrast_index, mouse.side = mouse.stage, index[t], ks014.side[t]
        mouse.is_repeat = abs(ks014.probability_left[t] - 0.5) > 0.01
        score(rig, mouse, int(ks014.choice[t]), 0.5)
    begins = [place(ks014, np.flatnonzero(stage >= s)[0]) for s in range(1, 6)]
    assert begins == [(10, 221), (12, 739), (13, 176), (13, 379), (13, 583)]


def test_ks014_was_not_trained_by_rig_8_nor_by_the_documents(ks014):
    for name in ("ibl-v8", "ibl-documented"):
        assert replay(ks014, name).agrees.mean() < 0.7


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("name", TRAINING)
def test_simulated_mice_follow_their_protocol_and_no_other(name, flagged):
    learner = Cohort(mice=3, parameters={"rate": 0.05, "initial_weight.bias": -0.5})
    rollout = simulate(learner, name, sessions=8, seed=2)
    if not flagged:
        columns = {column: values for column, values in rollout.columns.items() if column != "is_repeat"}
        rollout = Rollout(columns, rollout.starts, rollout.ids)
    shares = {other: replay(rollout, other).agrees.mean() for other in TRAINING}
    assert shares[name] == 1.0
    if flagged:
        assert np.array_equal(replay(rollout, name).stage, rollout.stage)
        assert all(share < 1.0 for other, share in shares.items() if other != name)
    assert shares["ibl-2019" if name != "ibl-2019" else "ibl-v8"] < 1.0


def test_a_trial_that_could_not_be_is_found(ks014):
    changed = ks014.contrast.copy()
    changed[5] = 0.3 * np.sign(changed[5])
    result = replay(Rollout(dict(ks014.columns) | {"contrast": changed}, ks014.starts, ks014.ids), "ibl-2019")
    assert not result.contrast_agrees[5]
    assert result.agrees[:5].all()


@pytest.mark.parametrize("name", ["biased", "biased-half-zero", "ephys"])
def test_blocks(name):
    rollout = simulate(Cohort(mice=3), name, sessions=4, seed=3)
    assert replay(rollout, name).agrees.all()
    assert replay(rollout, "ibl-2019").agrees.mean() < 0.5
    left = rollout.probability_left.copy()
    block = slice(rollout.starts[1] + 90, rollout.starts[1] + 95)
    left[block] = 1 - left[block]  # a block of five trials
    changed = replay(Rollout(dict(rollout.columns) | {"probability_left": left}, rollout.starts, rollout.ids), name)
    assert 0 < (~changed.probability_left_agrees).sum() < 100
    assert changed.agrees[: rollout.starts[1] + 90].all()


def test_which_sessions_followed_which_protocol():
    first, then = (simulate(Cohort(mice=1), name, sessions=3, seed=3) for name in ("ibl-2019", "biased"))
    columns = {name: np.concatenate([first.columns[name], then.columns[name]]) for name in first.columns}
    columns["session"][len(first) :] += 3
    both = Rollout(columns, np.array([0, len(first) + len(then)]), first.ids)
    assert np.flatnonzero(replay(both, "ibl-2019").by_session == 1).tolist() == [0, 1, 2]
    assert np.flatnonzero(replay(both, "biased").by_session == 1).tolist() == [3, 4, 5]


def test_tables_cannot_be_replayed():
    with pytest.raises(ValueError, match="nothing to replay"):
        replay(simulate(Cohort(mice=1), "advanced", trials=10), "advanced")
