"""What a simulation depends on, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from agents import RULES
from envs import PROTOCOLS, load_protocol
from envs.draws import CONTRAST, SIDE, mouse_keys, normal, uniform
from twin.cohort import Cohort
from twin.simulation import simulate

NOISY = {"rate": {"distribution": "lognormal", "median": 0.05, "sigma": 0.5}, "trial_noise": 0.01, "day_noise": 0.2}


def choices(**settings):
    """Everything of a run that a mouse did."""
    length = {"trials": 1500} | {k: settings.pop(k) for k in ("trials", "seed", "workers") if k in settings}
    rollout = simulate(Cohort(**({"mice": 3, "parameters": NOISY} | settings)), **length)
    return [
        np.column_stack([rollout.choice, rollout.contrast, rollout.weights])[rollout.of_mouse(m)] for m in range(rollout.n_mice)
    ]


def test_longer_run_starts_with_the_shorter():
    for long, short in zip(choices(), choices(trials=700), strict=True):
        assert (long[:700] == short).all()


def test_more_mice_change_no_mouse():
    for few, many in zip(choices(), choices(mice=5), strict=False):
        assert (few == many).all()


def test_workers_change_nothing():
    for one, two in zip(choices(mice=300, trials=1000, workers=1), choices(mice=300, trials=1000, workers=2), strict=True):
        assert (one == two).all()


def test_another_seed_is_another_experiment():
    for a, b in zip(choices(seed=1), choices(seed=2), strict=True):
        assert (a[:, 1] != b[:, 1]).mean() > 0.3


def test_neighbouring_seeds_and_mice_share_no_stream():
    keys = [int(k) for seed in range(200) for k in mouse_keys(seed, 50)]
    assert len(set(keys)) == len(keys)
    u = np.array([[uniform(key, t, CONTRAST) for t in range(300)] for seed in range(4) for key in mouse_keys(seed, 4)])
    assert len(np.unique(u)) == u.size
    correlation = np.corrcoef(u)[np.triu_indices(len(u), 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(300)
    lagged = [np.corrcoef(u[i, 1:], u[j, :-1])[0, 1] for i in range(16) for j in range(16)]
    assert np.abs(lagged).max() < 4.5 / np.sqrt(299)


def test_draws_are_uniform_and_normal_and_streams_independent():
    key = mouse_keys(7, 4)[3]
    u = np.array([uniform(key, t, CONTRAST) for t in range(20_000)])
    v = np.array([uniform(key, t, SIDE) for t in range(20_000)])
    z = np.array([normal(key, t, CONTRAST) for t in range(20_000)])
    counts = np.bincount((u * 20).astype(int), minlength=20)
    assert ((counts - 1000) ** 2 / 1000).sum() < 45.3  # the 99.94 % quantile of chi-square with 19 degrees of freedom
    assert np.abs(np.corrcoef(u, v)[0, 1]) < 4 / np.sqrt(20_000)
    assert abs(z.mean()) < 4 / np.sqrt(20_000)
    assert z.var() == pytest.approx(1, abs=0.04)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.007)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stimuli_come_as_often_as_the_protocol_says(protocol):
    rollout = simulate(Cohort(mice=40, rule="reinforce", parameters={"rate": 0.1}), protocol, trials=4000)
    for number, stage in enumerate(PROTOCOLS[protocol].stages):
        free = (rollout.stage == number) & ~rollout.is_repeat
        n = free.sum()
        for contrast, p in zip(stage.contrasts, stage.probabilities, strict=True):
            for side in (-1, 1):
                share = np.mean((np.abs(rollout.contrast[free]) == contrast) & (rollout.side[free] == side))
                assert share == pytest.approx(p / 2, abs=4.5 * np.sqrt(p / 2 / n))


def test_weights_follow_the_rule_trial_by_trial():
    rollout = simulate(Cohort(mice=1, rule="reinforce", parameters={"rate": 0.1}), trials=1000)
    stimulus = np.tanh(5 * rollout.contrast.astype(float)) / np.tanh(5)
    w = np.zeros(2)
    for t in range(len(rollout)):
        assert rollout.weights[t] == pytest.approx(w, abs=1e-6)
        x = np.array([stimulus[t], 1.0])
        p = 1 / (1 + np.exp(-w @ x))
        assert rollout.p_right[t] == pytest.approx(p, abs=1e-6)
        w = w + 0.1 * rollout.reward[t] * (rollout.choice[t] - p) * x


def test_choices_come_as_often_as_p_right_says():
    rollout = simulate(Cohort(mice=20, rule="static", parameters={"initial_weight.stimulus": 2, "lapse_low": 0.1}), trials=5000)
    chosen = rollout.choice >= 0
    p = rollout.p_right[chosen].astype(float)
    z = (rollout.choice[chosen] - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 4
    assert p.min() > 0.1


def test_sessions_end_where_the_protocol_says():
    protocol = load_protocol("ibl-documented", session_trials=250)
    rollout = simulate(Cohort(mice=2), protocol, sessions=3)
    sessions = rollout.sessions
    assert (sessions.stop - sessions.start == 250).all()
    assert sessions.session.tolist() == [0, 1, 2] * 2
    assert sessions.mouse.tolist() == [0] * 3 + [1] * 3


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_that_learns_ends_well_above_chance(rule):
    rollout = simulate(Cohort(mice=20, rule=rule), trials=3000)
    late = np.mean([rollout.reward[rollout.of_mouse(m)][-500:].mean() for m in range(20)])
    assert (late > 0.65) if rule != "static" else abs(late - 0.5) < 0.05


def test_population_varies_as_told():
    parameters = {
        "rate": {"distribution": "lognormal", "median": 0.02, "sigma": 0.5},
        "baseline": {"distribution": "normal", "mean": 0.4, "sd": 0.5},
        "lapse_high": {"distribution": "normal", "mean": 0.4, "sd": 0.5},
        "initial_weight": {"stimulus": {"distribution": "uniform", "low": -2, "high": -1}, "bias": 1.5},
        "lapse_low": {"distribution": "choice", "values": [0.0, 0.1]},
    }
    cohort = Cohort(mice=4000, parameters=parameters)
    theta = cohort.theta(1)
    rate, baseline, stimulus, bias = theta[:, :4].T
    assert np.median(rate) == pytest.approx(0.02, rel=0.05)
    assert np.log(rate).std() == pytest.approx(0.5, rel=0.06)
    assert (baseline.mean(), baseline.std()) == pytest.approx((0.4, 0.5), abs=0.03)
    lapse_high = theta[:, cohort.layout.index("lapse_high")[0]]
    assert lapse_high.max() <= 0.5 and lapse_high.min() >= 0.0
    assert stimulus.min() >= -2
    assert stimulus.mean() == pytest.approx(-1.5, abs=0.03)
    assert (bias == 1.5).all()
    assert theta[:, cohort.layout.names.index("lapse_low")].mean() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "reinforce-basline"}, "unknown rule 'reinforce-basline'; did you mean 'reinforce-baseline'"),
        ({"parameters": {"rate": 2.0}}, r"parameters.rate: rate = 2 is outside \[0, 1\]"),
        ({"parameters": {"ratte": 0.1}}, "did you mean 'rate'"),
        ({"features": ("stimulus", "biass")}, "unknown feature 'biass'; did you mean 'bias'"),
        ({"features": ("bias", "bias")}, "each once"),
        ({"parameters": {"rate": {"distribution": "uniform", "low": 0.1, "high": 1.5}}}, "stay within"),
        ({"parameters": {"rate": "fast"}}, "neither a number nor a table"),
        ({"mice": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_cohort_is_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Cohort(**settings)


def test_length_must_be_said_once():
    with pytest.raises(ValueError, match="exactly one"):
        simulate(Cohort(mice=1))
    with pytest.raises(ValueError, match="exactly one"):
        simulate(Cohort(mice=1), trials=5, sessions=1)
