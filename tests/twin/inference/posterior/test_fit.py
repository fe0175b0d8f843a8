"""Mice like the IBL's: intervals that cover, parameters that are said not to be known, and draws that are kept."""

import numpy as np
import pytest

from scenarios.coverage import PARAMETERS
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.flags import ONE_SIDED, UNIDENTIFIED, parameter_flags
from twin.inference.card import load_fit
from twin.inference.fit import fit
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")


def simulated(mice: int, trials: int, seed: int = 1, **other) -> tuple:
    cohort = Cohort(mice=mice, features=FEATURES, parameters=PARAMETERS | other)
    rollout = simulate(cohort, "ibl-2019", trials=trials, seed=seed)
    return Trials.from_rollout(rollout), rollout


@pytest.fixture(scope="module")
def realistic():
    trials, rollout = simulated(16, 3000)
    return trials, rollout, fit(trials, "reinforce-baseline", noise=True)


def test_intervals_cover_the_truth_in_mice_like_the_ibls(realistic):
    _, rollout, found = realistic
    covered, width = [], []
    for name, (_, ends) in found.parameters().items():
        true = rollout.theta[:, found.layout.index(name)[0]]
        covered.append(np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])))
        width.append((ends[:, 1] - ends[:, 0]).min())
    assert len(covered) == 10 and min(covered) >= 0.6 and np.mean(covered) >= 0.9
    assert min(width) > 0
    assert found.converged.mean() > 0.9


def test_no_baseline_is_invented(realistic):
    """48,000 trials of slow mice say nothing of their baseline, and the fit says so; without noise it calls it negative."""
    trials, _, found = realistic
    column = found.layout.index("baseline")[0]
    low, high = found.ci95[:, column].T
    assert (low < -0.1).all() and (high > -0.1).all()
    assert set(parameter_flags(found)["baseline"]) == {UNIDENTIFIED}
    plain = fit(trials, "reinforce-baseline", population=True)
    assert (plain.ci95[:, column, 1] < -0.5).mean() > 0.5


def test_present_weights_are_drawn_around_the_true_ones(realistic):
    _, rollout, found = realistic
    last = rollout.weights[rollout.starts[1:] - 1]
    away = (found.draws.weights.mean(axis=1) - last) / found.draws.weights.std(axis=1)
    assert np.sqrt(np.mean(away**2)) == pytest.approx(1.0, abs=0.35)


def test_draws_are_kept_with_the_fit(realistic, tmp_path):
    trials, _, found = realistic
    found.save(tmp_path)
    again = load_fit(tmp_path)
    assert again.theta == pytest.approx(found.theta) and (again.unidentified == found.unidentified).all()
    for kept, drawn in zip(again.draws, found.draws, strict=True):
        assert kept == pytest.approx(drawn, rel=1e-6)
    assert again.log_likelihood_of_new_mice(trials.of_mice([0])).sum() == pytest.approx(
        found.log_likelihood_of_new_mice(trials.of_mice([0])).sum(), rel=1e-4
    )
    whole = (tmp_path / "draws.npz").read_bytes()
    for content in (b"not draws", whole[: len(whole) // 2]):
        (tmp_path / "draws.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"draws\.npz: not the draws of card\.json"):
            load_fit(tmp_path)


def test_new_mice_are_of_the_population(realistic):
    """What is expected of mice not yet seen is better than chance, and below what is known of mice that were fitted."""
    trials, _, found = realistic
    new, _ = simulated(4, 3000, seed=9)
    score = found.log_likelihood_of_new_mice(new).sum() / new.mask.sum()
    assert np.log(0.5) < score < found.log_likelihood(trials).sum() / trials.mask.sum() + 0.05


def test_a_mouse_that_does_not_learn_has_a_rate_that_may_be_zero():
    trials, _ = simulated(3, 3000, seed=4, rate=0.0)
    found = fit(trials, "reinforce-baseline", noise=True)
    low = found.ci95[:, found.layout.index("rate")[0], 0]
    assert (low == 0.0).all()
    assert set(parameter_flags(found)["rate"]) <= {ONE_SIDED, UNIDENTIFIED}


def test_a_mouse_has_the_same_posterior_in_any_company_if_it_stands_alone():
    trials, _ = simulated(3, 600, seed=5)
    together = fit(trials, "reinforce", noise=True, population=False)
    alone = fit(trials.of_mice([2]), "reinforce", noise=True)
    assert (together.theta[2] == alone.theta[0]).all() and (together.ci95[2, :2] == alone.ci95[0, :2]).all()


def test_one_session_has_no_noise_of_nights():
    trials, _ = simulated(2, 150, seed=6)
    assert not trials.new_session[:, 1:].any()
    found = fit(trials, "reinforce", noise=True)
    assert not any(name.startswith("day_noise") for name in found.parameters())


@pytest.mark.parametrize("what", ["all right", "no errors"])
def test_mice_that_say_little_are_told_so(what):
    """Choices all on one side, or never wrong: finite estimates, and flags for what nothing is known of."""
    trials, _ = simulated(2, 400, seed=7)
    if what == "all right":
        trials.choice[trials.mask] = 1
        trials.reward[:] = (trials.choice == 1) & (trials.x[..., 0] > 0)
    else:
        trials.choice[trials.mask] = (trials.x[..., 0] > 0)[trials.mask]
        trials.reward[:] = trials.mask
    found = fit(trials, "reinforce-baseline", noise=True)
    assert np.isfinite(found.theta).all() and np.isfinite(found.ci95[:, :2]).all()
    flagged = {name: set(flags) for name, flags in parameter_flags(found).items()}
    assert flagged["baseline"] == {UNIDENTIFIED}


def test_no_zero_contrasts():
    """Nothing hangs on trials without a stimulus: without them the rate's intervals still hold the truth."""
    trials, rollout = simulated(6, 2500, seed=8)
    trials.mask[trials.x[..., 0] == 0] = False
    found = fit(trials, "reinforce-baseline", noise=True)
    low, high = found.ci95[:, found.layout.index("rate")[0]].T
    assert np.isfinite(found.theta).all() and (found.nll > 0).all()
    assert np.mean((low <= rollout.theta[:, 0]) & (rollout.theta[:, 0] <= high)) >= 5 / 6
