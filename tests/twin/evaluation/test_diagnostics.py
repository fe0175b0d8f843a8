"""What a fit has left out is told, and nothing else."""

from itertools import pairwise

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.diagnostics import statistics, warnings
from twin.inference.fit import fit
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")
CLEAN = {"rate": {"distribution": "lognormal", "median": 0.01, "sigma": 0.5}}


def simulated(mice: int, trials: int = 2500, **more) -> tuple[Trials, np.ndarray]:
    """Trials, and the log-likelihood of each choice by the mice's own probabilities."""
    rollout = simulate(Cohort(mice=mice, features=FEATURES, parameters=CLEAN | more), "ibl-2019", trials=trials, seed=3)
    return Trials.from_rollout(rollout), rollout


def warnings_of(fitted, trials: Trials) -> dict[str, float]:
    return warnings(fitted, trials, fitted.log_likelihood(trials))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, set()),
        ({"day_noise": 0.4}, {"noise"}),
        ({"trial_noise": 0.03}, {"noise"}),
        ({"lapse_low": 0.08, "lapse_high": 0.08}, {"lapses"}),
    ],
)
def test_each_thing_left_out_is_named(more, expected):
    trials, _ = simulated(12, 5000, **more)
    assert set(warnings_of(fit(trials, "reinforce-baseline"), trials)) & {"noise", "lapses"} == expected


def test_fit_of_all_that_is_there_has_no_warning():
    trials, _ = simulated(8, day_noise=0.4, lapse_low=0.05, lapse_high=0.05)
    assert warnings_of(fit(trials, "reinforce-baseline", noise=True), trials) == {}


def true_log_likelihood(rollout, trials: Trials) -> np.ndarray:
    out = np.zeros(trials.choice.shape)
    p = np.where(rollout.choice == 1, rollout.p_right, 1 - rollout.p_right)
    for m, (begin, end) in enumerate(pairwise(rollout.starts)):
        out[m, : end - begin] = np.log(p[begin:end])
    return np.where(trials.mask, out, 0.0)


def test_statistics_of_the_truth_are_standard_normal():
    """By the mice's own probabilities, 60 mice one by one: mean 0 and variance 1."""
    trials, rollout = simulated(60, lapse_low=0.03, lapse_high=0.03)
    ll = true_log_likelihood(rollout, trials)
    each = [statistics(ll[[m]], trials.of_mice([m])) for m in range(60)]
    for name in ("noise-in-sessions", "noise-over-nights", "lapses"):
        z = np.array([found[name] for found in each])
        z = z[np.isfinite(z)]
        assert abs(z.mean()) < 4 / np.sqrt(len(z)) and z.std() == pytest.approx(1.0, abs=0.4)
    assert abs(statistics(ll, trials)["mice-differ"]) < 4
    assert statistics(ll, trials)["decision-model"] < 4
    assert np.mean([found["decision-model"] < 4 for found in each]) > 0.95


def test_decision_model_by_hand():
    """Two contrasts of 100 trials each, p = .5: 70 and 50 choices to the right are 4 and 0 standard deviations off."""
    x = np.repeat([-1.0, 1.0], 100)[None, :, None]
    choice = np.concatenate([np.arange(100) < 70, np.arange(100) < 50])[None].astype(np.int8)
    mask = np.ones((1, 200), bool)
    one = Trials(x, choice, choice, mask & False, mask, np.array([200]), ("stimulus",), ("a",))
    cells = (16 + 0 - 2) / np.sqrt(4)  # by contrast, and by place, which are the same here
    assert statistics(np.full((1, 200), np.log(0.5)), one)["decision-model"] == pytest.approx(cells)


@pytest.mark.parametrize(("features", "expected"), [(FEATURES, False), (("contrast", "bias"), True)])
def test_mice_that_see_contrasts_otherwise_are_told(features, expected):
    cohort = Cohort(mice=12, features=features, parameters={"rate": 0.02, "initial_weight": {features[0]: 2.0}})
    rollout = simulate(cohort, "constant", trials=3000, seed=3)
    trials = Trials.from_rollout(rollout, FEATURES)
    assert ("decision-model" in warnings_of(fit(trials, "reinforce"), trials)) == expected


def test_noise_and_lapses_show_in_the_innovations_of_one_who_does_not_know_them():
    """By the probabilities of one mouse that is an expert from the first day on: nothing is right."""
    trials, _ = simulated(20, trial_noise=0.05, day_noise=0.3)
    static = np.log(np.where(trials.choice == 1, *(1 / (1 + np.exp(s * 6.0 * trials.x[..., 0])) for s in (-1, 1))))
    found = statistics(np.where(trials.mask, static, 0.0), trials)
    assert found["noise-in-sessions"] > 4 and found["noise-over-nights"] > 4
    assert found["mice-differ"] > 4 and found["lapses"] > 4
