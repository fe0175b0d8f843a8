"""Training to a status: when mice stop, what they carry to the next protocol, and what files and results say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from agents.features import CONTRAST_GAIN
from envs import load_protocol
from envs.draws import CHOICE, DAY_NOISE, normal, uniform
from twin.cli import main
from twin.cohort import Cohort
from twin.data.rollout import COLUMNS
from twin.data.store import read_rollout, write_rollout
from twin.evaluation.status import Status
from twin.evaluation.status_times import mice_offsets, times_to_status, with_status, with_status_after
from twin.simulation import Simulation, simulate
from twin.simulation.until import Phase, simulate_until
from twin.studies.scenario import ScenarioError, parse

HORIZON = 8
QUICK = Cohort(mice=5, parameters={"rate": {"distribution": "lognormal", "median": 0.02, "sigma": 0.5}, "baseline": 0.1})
SCENARIO = {
    "kind": "cohort",
    "name": "until",
    "cohort": {"mice": 3, "parameters": {"rate": 0.03}},
    "protocol": {"base": "ibl-2019"},
    "run": {"until": "trained_1a", "horizon": 6, "then": ["biased"]},
}


@pytest.fixture(scope="module")
def stopped():
    return simulate_until(QUICK, "ibl-2019", until="trained_1b", horizon=HORIZON)


@pytest.fixture(scope="module")
def whole():
    return with_status(simulate(QUICK, "ibl-2019", sessions=HORIZON))


@pytest.fixture(scope="module")
def continued():
    """Mice that go on under the biased protocol for at most two sessions, which do not make them ready."""
    then = [Phase("biased", "ready4ephysrig", 2)]
    return simulate_until(QUICK, "ibl-2019", until="trained_1a", horizon=5, then=then)


def sessions_of(rollout, m):
    offsets = mice_offsets(rollout)
    return slice(offsets[m], offsets[m + 1])


def test_until_is_a_longer_run_cut_at_each_mouse_s_day(stopped, whole):
    days = []
    for m in range(QUICK.mice):
        status = whole.of_session["status"][sessions_of(whole, m)]
        there = np.flatnonzero(status >= Status.TRAINED_1B)
        days.append(there[0] + 1 if len(there) else HORIZON)
        assert (stopped.of_session["status"][sessions_of(stopped, m)] == status[: days[-1]]).all()
        n = whole.sessions.stop[sessions_of(whole, m)][days[-1] - 1] - whole.starts[m]
        assert stopped.starts[m + 1] - stopped.starts[m] == n
        for name in COLUMNS:
            cut = whole.columns[name][whole.starts[m] :][:n]
            assert (stopped.columns[name][stopped.of_mouse(m)] == cut).all()
        assert (stopped.weights[stopped.of_mouse(m)] == whole.weights[whole.starts[m] :][:n]).all()
    assert len(set(days)) > 1 and min(days) < HORIZON


def test_status_day_by_day_is_the_status_of_the_whole_record(continued):
    again = with_status(replace(continued, of_session={"protocol": continued.of_session["protocol"]}))
    assert (again.of_session["status"] == continued.of_session["status"]).all()


def test_some_mice_workers_and_drivers_change_nothing(continued):
    then = [Phase("biased", "ready4ephysrig", 2)]
    settings = {"until": "trained_1a", "horizon": 5, "then": then}
    stepped = simulate_until(QUICK, "ibl-2019", driver="stepped", **settings)
    for name in COLUMNS:
        assert (stepped.columns[name] == continued.columns[name]).all()
    assert (stepped.weights == continued.weights).all()
    part = simulate_until(QUICK, "ibl-2019", mice=range(2, 4), workers=1, **settings)
    assert part.ids == continued.ids[2:4]
    assert (part.choice == continued.choice[continued.starts[2] : continued.starts[4]]).all()


def test_next_protocol_begins_with_the_weights_and_counts_of_the_last(continued):
    protocol = continued.of_session["protocol"]
    assert set(protocol) == {0, 1}
    for m in range(QUICK.mice):
        rows, record = continued.of_mouse(m), protocol[sessions_of(continued, m)]
        if not record.any():
            continue
        first = continued.sessions.start[sessions_of(continued, m)][np.argmax(record)]
        last = first - 1
        theta = dict(zip(continued.theta_names, continued.theta[m], strict=True))
        stimulus = np.tanh(CONTRAST_GAIN * continued.contrast[last]) / np.tanh(CONTRAST_GAIN)
        p = 1 / (1 + np.exp(-(continued.weights[last] @ [stimulus, 1.0])))
        change = theta["rate"] * (continued.reward[last] - theta["baseline"]) * (continued.choice[last] - p)
        expected = continued.weights[last] + (change * np.array([stimulus, 1.0]) if continued.choice[last] >= 0 else 0.0)
        assert continued.weights[first] == pytest.approx(expected, abs=1e-6)
        assert continued.session[rows.start : rows.stop][-1] + 1 == len(record)
        draw = uniform(continued.keys[m], int(first - rows.start), CHOICE)
        if continued.choice[first] >= 0:
            assert continued.choice[first] == (draw < continued.p_right[first])
        new = slice(first, rows.stop)
        assert set(np.unique(np.abs(continued.contrast[new]))) <= set(np.float32([1, 0.25, 0.125, 0.0625, 0]))
        assert set(continued.probability_left[new]) <= set(np.float32([0.2, 0.5, 0.8]))
        assert continued.water_ul[new].max() == 1.5


def test_only_mice_that_reached_the_status_go_on(continued):
    for m in range(QUICK.mice):
        days = sessions_of(continued, m)
        training = continued.of_session["protocol"][days] == 0
        reached = continued.of_session["status"][days][training] >= Status.TRAINED_1A
        assert reached[-1] == (not training.all())
        assert not reached[:-1].any()


@pytest.mark.parametrize("driver", ["fused", "stepped"])
def test_the_night_between_protocols_is_like_any_other(driver):
    parameters = {"day_noise": 0.5, "initial_weight": {"stimulus": 40.0}, "engaged_spread": 0.0}
    cohort = Cohort(mice=2, rule="static", parameters=parameters)
    then = [Phase("biased", "ready4ephysrig", 1)]
    rollout = simulate_until(cohort, "constant", until="trained_1a", horizon=2, then=then, driver=driver)
    assert (rollout.of_session["protocol"] == [0, 1, 0, 1]).all()
    for i in (1, 3):
        first, key = rollout.sessions.start[i], rollout.keys[rollout.sessions.mouse[i]]
        trial = int(first - rollout.starts[rollout.sessions.mouse[i]])
        noise = [0.5 * normal(key, trial, DAY_NOISE + k) for k in range(2)]
        assert rollout.weights[first] - rollout.weights[first - 1] == pytest.approx(noise, abs=1e-5)


def test_untrainable_mouse_is_labelled_and_goes_on_to_the_horizon():
    cohort = Cohort(mice=2, rule="static")
    protocol = load_protocol("constant", session_trials=10)
    rollout = simulate_until(cohort, protocol, until="trained_1b", horizon=42)
    status = rollout.of_session["status"].reshape(2, 42)
    assert (status[:, 39] == Status.UNTRAINABLE).all()
    assert (np.delete(status, 39, axis=1) == Status.IN_TRAINING).all()
    row = times_to_status(rollout)["sessions_to_status"]["untrainable"]
    assert row == {"median": 40, "mean": 40, "sd": 0, "ci95": [40, 40], "fraction_reached": 1}


def test_times_to_status_are_of_the_mice_that_reached_it(stopped):
    reached, spent = [], []
    for m in range(QUICK.mice):
        days = sessions_of(stopped, m)
        there = np.flatnonzero(stopped.of_session["status"][days] >= Status.TRAINED_1B)
        if len(there):
            reached.append(there[0] + 1)
            spent.append(stopped.starts[m + 1] - stopped.starts[m])
    table = times_to_status(stopped)
    row = table["sessions_to_status"]["trained_1b"]
    assert row["fraction_reached"] == len(reached) / QUICK.mice
    assert (row["mean"], row["median"]) == pytest.approx((np.mean(reached), np.median(reached)))
    assert row["sd"] == pytest.approx(np.std(reached, ddof=1))
    assert table["trials_to_status"]["trained_1b"]["mean"] == pytest.approx(np.mean(spent))
    assert "ready4ephysrig" not in table["sessions_to_status"]


def test_sessions_in_the_file_have_water_duration_status_and_protocol(continued, tmp_path):
    write_rollout(continued, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        sessions = {name: values[()] for name, values in file["sessions"].items()}
    s = continued.sessions
    for i in (0, len(s.start) - 1):
        rows = slice(s.start[i], s.stop[i])
        assert sessions["water_ul"][i] == pytest.approx(continued.water_ul[rows].sum())
        end = continued.start_time[rows][-1] + continued.response_time[rows][-1]
        assert sessions["duration_s"][i] == pytest.approx(end)
    again = read_rollout(tmp_path / "x.h5")
    for name in ("status", "protocol"):
        assert (again.of_session[name] == continued.of_session[name]).all()
        assert (sessions[name] == continued.of_session[name]).all()
    assert with_status(again) is again


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"until": "trained1b"}, "unknown status 'trained1b'; did you mean 'trained_1b'"),
        ({"until": "ready4recording"}, "needs a session that starts 15 min late"),
        ({"until": "ready4ephysrig"}, "the training sessions of protocol 'ibl-2019' lead to trained_1b at most"),
        ({"horizon": 0}, "horizon = 0: expected at least one session"),
        ({"then": [Phase("biased", "ready4delay", 3)]}, "the biased sessions of protocol 'biased' lead to ready4ephysrig"),
    ],
)
def test_what_cannot_be_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        simulate_until(QUICK, "ibl-2019", **({"until": "trained_1b", "horizon": 3} | settings))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"until": "trained_1b"}, "run: `until` and `horizon` go together: until = 'trained_1b', horizon = None"),
        ({"horizon": 3, "sessions": 2}, "run: `until` and `horizon` go together"),
        ({"until": "trained_1b", "horizon": 3, "sessions": 2}, "run: give exactly one of `trials`, `sessions` and `until`"),
        ({"until": "trained1b", "horizon": 3}, "run.until: unknown status 'trained1b'; did you mean 'trained_1b'"),
        ({"until": "ready4delay", "horizon": 3}, "run.until: status 'ready4delay' cannot be reached"),
        ({"sessions": 3, "then": ["biased"]}, "run: `then` needs `until`"),
        ({"until": "trained_1b", "horizon": 3, "then": ["biase"]}, "run.then.0.*did you mean 'biased'"),
        ({"until": "trained_1b", "horizn": 3}, "did you mean 'horizon'"),
        (
            {"until": "trained_1b", "horizon": 3, "then": [{"protocol": "ephys", "until": "ready4dela"}]},
            "run.then.0: unknown status 'ready4dela'; did you mean 'ready4delay'",
        ),
    ],
)
def test_wrong_schedule_is_refused_by_key(run, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        parse(SCENARIO | {"run": run}, "x.toml")
    assert "\n" not in str(caught.value)


def test_what_follows_leads_as_far_as_its_sessions_do():
    run = SCENARIO["run"] | {"then": ["biased", {"protocol": {"base": "ephys", "session_trials": 500}, "horizon": 3}]}
    then = parse(SCENARIO | {"run": run}, "x.toml").run.then
    assert [(t.until, t.horizon) for t in then] == [("ready4ephysrig", 40), ("ready4delay", 3)]
    assert then[1].protocol.session_trials == 500


def test_cohort_run_to_a_status_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("until.toml").write_text(
        'kind = "cohort"\nname = "until"\n[cohort]\nmice = 3\nparameters.rate = 0.03\n[protocol]\nbase = "ibl-2019"\n'
        '[run]\nuntil = "trained_1a"\nhorizon = 6\nthen = [{ protocol = "biased", horizon = 1 }]\n'
    )
    assert main(["run", "until.toml"]) == 0
    results = json.loads(Path("runs/until/results.json").read_text())
    assert results["sessions_to_status"]["trained_1a"]["fraction_reached"] > 0
    assert results["trials_to_status"].keys() == results["sessions_to_status"].keys()
    rollout = read_rollout("runs/until/rollouts.h5")
    assert [table["name"] for table in rollout.origin["then"]] == ["biased"]
    assert rollout.of_session["protocol"].max() == 1
    assert "Training status" in Path("runs/until/report.html").read_text()


def test_going_on_from_a_record_is_one_run(whole):
    """A mouse that is stopped in training and goes on from its record has the statuses of the run without the stop."""
    known, mouse = 1, 0
    run = Simulation(QUICK, "ibl-2019")
    run.train(np.full(QUICK.mice, known))
    evening = run.state.take(np.array([mouse]))
    one = whole.select([mouse])
    before = one.of_sessions(np.arange(known))
    later = Simulation(QUICK, "ibl-2019", state=evening)
    later.train(later.sessions + HORIZON - known)
    after = with_status_after(later.rollout(), before)
    assert np.array_equal(after.of_session["status"], one.of_session["status"][known:])
    stopped_again = simulate_until(QUICK, "ibl-2019", until="trained_1b", horizon=HORIZON - known, start=evening, before=before)
    days = len(stopped_again.of_session["status"])
    assert days == 4
    assert np.array_equal(stopped_again.of_session["status"], one.of_session["status"][known : known + days])
    first = one.sessions.start[known]
    assert np.array_equal(stopped_again.choice, one.choice[first : first + len(stopped_again)])
