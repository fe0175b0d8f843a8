"""Recorded trials through the rig's own functions: a real mouse of 2019, and simulated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parity import assert_same, columns_of
from parity import cohort as parity_cohort

from envs import PROTOCOLS
from envs.draws import mouse_keys
from envs.task.session import new_mice, next_session
from envs.task.state import MOUSE_DTYPE
from envs.task.trial import begin_trial, score
from twin.cohort import Cohort
from twin.data.formats import read
from twin.data.rollout import Rollout
from twin.replay import agreement, replay, stages_found
from twin.replay.compare import AGREES
from twin.simulation import CohortState, Simulation, begin_session, simulate, state_after

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


REPLAYABLE = [name for name, protocol in PROTOCOLS.items() if not any(stage.contingencies for stage in protocol.stages)]
TIMES = ("start_time", "clock", "response_time")  # columns are rounded to 32 bits


def record_of(name: str, cut: int | None) -> tuple[Cohort, CohortState, Rollout]:
    """Mice with every trait in use, after so many trials or, with None, after three sessions: their state and their record."""
    cohort = parity_cohort("full-mouse")
    simulation = Simulation(cohort, name, seed=3)
    if cut is None:
        simulation.train(np.full(cohort.mice, 3))
    else:
        simulation.train_trials(cut)
    return cohort, simulation.state, simulation.rollout()


@pytest.mark.parametrize("cut", [257, 1370, None])
@pytest.mark.parametrize("name", REPLAYABLE)
def test_replay_leaves_the_rig_as_the_simulation_did(name, cut):
    _, state, rollout = record_of(name, cut)
    rig = replay(rollout, name).rig
    for field in MOUSE_DTYPE.names:
        if field in TIMES:
            assert rig[field] == pytest.approx(state.rig[field], abs=1e-4)
        else:
            assert np.array_equal(rig[field], state.rig[field]), field


@pytest.mark.parametrize("cut", [257, 1370, None])
@pytest.mark.parametrize("name", REPLAYABLE)
def test_simulation_goes_on_from_a_record_as_from_its_own_state(name, cut):
    cohort, state, rollout = record_of(name, cut)
    after = state_after(replay(rollout, name), cohort)
    assert np.array_equal(after.weights, state.weights)
    original = columns_of(simulate(cohort, name, trials=700, start=state))
    going_on = columns_of(simulate(cohort, name, trials=700, start=after))
    assert going_on.pop("start_time") == pytest.approx(original.pop("start_time"), abs=1e-3)
    assert_same(original, going_on)


def test_chain_of_repeats_is_gone_on_with():
    """Rigs 4-7 hold a contrast through a chain; cut in each trial of one, the record goes on with what the key drew."""
    cohort = Cohort(mice=1, parameters={"rate": 0.02, "initial_weight.bias": -1.5})
    in_chain = 0
    for cut in range(30, 60):
        simulation = Simulation(cohort, "ibl-2019", seed=8)
        simulation.train_trials(cut)
        rig = replay(simulation.rollout(), "ibl-2019").rig
        assert (rig["held"], rig["held_left"]) == (simulation.state.rig["held"], simulation.state.rig["held_left"])
        in_chain += rig["held"][0] >= 0
    assert in_chain > 5


def test_memory_follows_given_weights():
    """With a rule written out by hand: the critic and the weights one update beyond those given."""
    cohort = Cohort(mice=2, rule="learned-critic", parameters={"rate": 0.2, "no_go": 0.05})
    rollout = simulate(cohort, "constant", trials=80, seed=2)
    given = np.random.default_rng(1).normal(size=(len(rollout), 2))
    after = state_after(replay(rollout, "constant"), cohort, weights=given)
    theta = dict(zip(rollout.theta_names, rollout.theta[0], strict=True))
    for m in range(2):
        critic = 0.0
        for t in range(len(rollout))[rollout.of_mouse(m)]:
            before = critic
            if rollout.choice[t] >= 0:
                critic += theta["critic_rate"] * (rollout.reward[t] - before)
        x = np.array([np.tanh(5 * float(rollout.contrast[t])) / np.tanh(5), 1.0])
        p = 1 / (1 + np.exp(-given[t] @ x))
        change = theta["rate"] * (rollout.reward[t] - before) * (rollout.choice[t] - p) * x * (rollout.choice[t] >= 0)
        assert after.memory["critic"][m] == pytest.approx(critic)
        assert after.weights[m] == pytest.approx(given[t] + change)


@pytest.mark.parametrize("cut", range(150, 400, 25))
def test_open_block_gets_a_length_that_it_can_have(cut):
    """A record without keys: no length is known, but it is longer than what has been seen, and one that blocks have."""
    rollout = simulate(Cohort(mice=20), "biased", trials=cut, seed=6)
    unkeyed = Rollout(rollout.columns, rollout.starts, rollout.ids)
    rig = replay(unkeyed, "biased").rig
    blocks = PROTOCOLS["biased"].stages[0].blocks
    assert (rig["block_length"] > rig["block_trial"]).all()
    assert (rig["block_length"] >= blocks.low).all()
    assert (rig["block_length"] < blocks.high + 1).all()
    assert len(np.unique(rig["block_length"])) > 5


def test_ks014_goes_on_tomorrow(ks014):
    cohort = Cohort(mice=1, rule="full-mouse", features=("stimulus", "bias", "previous_choice"))
    with pytest.raises(ValueError, match=r"the record has no parameters of rule 'full-mouse'.*give those of its 1 mice"):
        state_after(replay(ks014, "ibl-2019"), cohort)
    tonight = state_after(replay(ks014, "ibl-2019"), cohort, theta=cohort.theta(1))
    assert (tonight.rig["trial"], tonight.rig["session"], tonight.rig["stage"]) == (10_310, 14, 5)
    tomorrow = begin_session(tonight, cohort.layout, PROTOCOLS["ibl-2019"]).repeat(3, mouse_keys(5, 3))
    forecast = simulate(cohort, "ibl-2019", sessions=1, start=tomorrow)
    assert (forecast.session == 15).all() and (forecast.stage == 5).all()
    assert set(np.abs(forecast.contrast)) <= set(np.float32([1, 0.25, 0.125, 0.0625, 0]))
    assert forecast.reward.mean() > 0.7


def cut_before(rollout: Rollout, sessions: int) -> Rollout:
    """The same mice from a later session on, as another lab hands over trained mice: without keys, counted from 0."""
    kept = rollout.session >= sessions
    columns = {name: values[kept] for name, values in rollout.columns.items()}
    columns["session"] = columns["session"] - np.int32(sessions)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rollout.mouse[kept], minlength=rollout.n_mice))])
    return Rollout(columns, starts, rollout.ids)


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("name", ["ibl-2019", "ibl-v8", "ibl-documented"])
def test_trained_mice_agree_with_the_protocol_that_they_follow(name, flagged):
    """Cut in the middle of training, at every session: a stage in which a whole session was done is found."""
    rates = {"distribution": "choice", "values": [0.01, 0.02, 0.04]}
    learners = Cohort(mice=9, parameters={"rate": rates, "lapse_low": 0.05, "lapse_high": 0.1})
    whole = simulate(learners, name, sessions=8, seed=2)
    begun = set()
    for sessions in range(1, 8):
        record = cut_before(whole, sessions)
        if not flagged:
            record = Rollout({k: v for k, v in record.columns.items() if k != "is_repeat"}, record.starts, record.ids)
        shares, stages = stages_found(record, name)
        assert (shares >= AGREES).all()
        first = np.flatnonzero(record.sessions.session == 0)
        true = record.stage[record.sessions.start[first]]
        steady = true == record.stage[record.sessions.stop[first] - 1]  # else what counted before the cut decides when it ends
        assert np.maximum(stages[first], 0)[steady].tolist() == true[steady].tolist()
        begun |= set(true[steady].tolist())
    assert {0, 5} <= begun, begun


def test_naive_mice_are_found_naive_and_a_given_stage_is_taken():
    naive = simulate(Cohort(mice=2, rule="static"), "ibl-2019", sessions=2, seed=1)
    shares, stages = stages_found(naive, "ibl-2019")
    assert (shares == 1).all() and (stages == -1).all()
    header, rows, told = agreement(naive, [PROTOCOLS["ibl-2019"]], stage=5)
    assert header[-1] == "best" and not told
    assert [row[-1] for row in rows] == ["none"] * 4  # naive mice are not shown what those of the last stage are
    with pytest.raises(ValueError, match="stage 6: protocol 'ibl-2019' has the stages 0 to 5"):
        stages_found(naive, "ibl-2019", 6)


def test_nothing_is_best_that_agrees_poorly():
    blocks = simulate(Cohort(mice=1, rule="static"), "biased", sessions=2, seed=3)
    _, rows, told = agreement(blocks, [PROTOCOLS["ibl-2019"], PROTOCOLS["ibl-v8"]])
    assert [row[-1] for row in rows] == ["none", "none"]
    assert not told
