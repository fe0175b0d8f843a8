"""Mice that a fit has not seen, by trials of theirs: as the mice that were fitted, as any mouse where there is no choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.cross_validation import held_out_scores
from twin.inference.fit import fit
from twin.simulation import simulate

RATES = {"rate": {"distribution": "lognormal", "median": 0.03, "sigma": 0.8}}
MODELS = {
    "rule alone": ("reinforce", {}),
    "rule": ("reinforce", {"population": True}),
    "rule with noise": ("reinforce", {"noise": True, "fixed": {"lapse_low": 0.0, "lapse_high": 0.0}}),
    "network": ("dnnglm", {"epochs": 8, "hidden": 4, "base_rule": "reinforce", "individual": True}),
    "network with an embedding": ("dnnglm", {"epochs": 4, "hidden": 4, "individual": True, "embedding": 1, "lapses": True}),
    "network of mice that are alike": ("dnnglm", {"epochs": 4, "hidden": 4, "base_rule": "reinforce"}),
}


@pytest.fixture(scope="module")
def differing() -> tuple[np.ndarray, Trials]:
    cohort = Cohort(mice=10, rule="reinforce", parameters=RATES | {"engaged_trials": 200})
    rollout = simulate(cohort, "constant", sessions=4, seed=1)
    return rollout.theta[:, cohort.layout.index("rate")[0]], Trials.from_rollout(rollout, ("stimulus", "bias"))


@pytest.fixture(scope="module", params=MODELS, ids=str)
def fitted(request, differing):
    model, settings = MODELS[request.param]
    return fit(differing[1], model, **settings)


def test_known_mice_are_found_again(fitted, differing):
    trials = differing[1]
    again = fitted.adapted(trials)
    assert again.ids == trials.ids
    assert again.data_hash == trials.content_hash()
    per_trial = [f.log_likelihood(trials).sum() / trials.mask.sum() for f in (fitted, again)]
    assert per_trial[1] == pytest.approx(per_trial[0], abs=0.004)
    for name, estimates in fitted.parameters().items():
        if name in ("rate", "scale.stimulus"):
            assert np.corrcoef(np.log(estimates.values), np.log(again.parameters()[name].values))[0, 1] > 0.9


def test_without_a_choice_every_mouse_is_as_any(fitted, differing):
    trials = differing[1].of_mice([0, 1]).first(30)
    none = replace(trials, choice=np.full_like(trials.choice, -1), mask=np.zeros_like(trials.mask))
    weights = fitted.adapted(none).weights(none)
    assert np.isfinite(weights).all()
    assert weights[0, 0] == pytest.approx(weights[1, 0], abs=0.05)
    for estimates in fitted.adapted(none).parameters().values():
        assert estimates.values[0] == pytest.approx(estimates.values[1], rel=0.2, abs=0.05)


def test_first_sessions_of_new_mice_tell_of_the_later_ones(differing):
    """At least half of what the true rates are worth, beside mice of whom nothing is known."""
    rate, trials = differing
    found = held_out_scores(trials, "reinforce", 5, adapt=2, population=True)
    later = trials.after_sessions(2)[1]
    known = [
        fit(trials.of_mice([m]), "reinforce", fixed={"rate": rate[m]}).log_likelihood(later.of_mice([m])) for m in range(10)
    ]
    true = np.mean([ll.sum() / n for ll, n in zip(known, later.mask.sum(axis=1), strict=True)])
    gain = found["adapted_ll_per_trial"] - found["unadapted_ll_per_trial"]
    assert gain > 0.5 * (true - found["unadapted_ll_per_trial"]) > 0
    assert found["adapted_gain_se"] > 0


def test_scores_without_adaptation_are_of_any_mouse(differing):
    trials = differing[1].of_mice([0, 1, 2])
    found = held_out_scores(trials, "reinforce", 3, seed=0, adapt=1)
    each = []
    for m in range(3):
        later = trials.of_mice([m]).after_sessions(1)[1]
        ll = fit(trials.of_mice([i for i in range(3) if i != m]), "reinforce").log_likelihood_of_new_mice(later)
        each.append(ll.sum() / later.mask.sum())
    assert found["unadapted_ll_per_trial"] == pytest.approx(np.mean(each))


def test_a_mouse_of_too_few_sessions_is_named(differing):
    with pytest.raises(ValueError, match=r"mouse '.*' has 4 sessions; none would be left after the first 4 of them"):
        held_out_scores(differing[1], "reinforce", 2, adapt=4)
