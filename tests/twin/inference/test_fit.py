"""What every fit answers, whatever its kind: all models that are registered, fitted to four mice and a few trials."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from agents.neural.registry import NEURAL_RULES
from agents.rules import RULES
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.card import load_fit, read_card
from twin.inference.fit import Fit, fit
from twin.inference.registry import models

ALONE = [model for model in models() if model not in NEURAL_RULES]  # each mouse by itself
TRIALS = 90


def seen(rollout, features=("stimulus", "bias")) -> Trials:
    return Trials.from_rollout(rollout, features).first(TRIALS)


def fitted(trials: Trials, model: str, **settings) -> Fit:
    """A fit that takes no time."""
    small = {"epochs": 2, "hidden": 6} if model in NEURAL_RULES else {}
    return fit(trials, model, **small, **settings)


@pytest.fixture(scope="module", params=models())
def known(request, small):
    """A model, its fit, and the trials it was fitted to."""
    trials = seen(small[1])
    return request.param, fitted(trials, request.param), trials


def test_mice_are_matched_by_id(known):
    """Some of them, in another order: what is known of them all, row by row."""
    _, done, trials = known
    pick = [2, 0]
    some = trials.of_mice(pick)
    assert done.log_likelihood(some) == pytest.approx(done.log_likelihood(trials)[pick], abs=1e-5)
    assert done.weights(some) == pytest.approx(done.weights(trials)[pick], abs=1e-5, nan_ok=True)
    assert done.log_likelihood(trials.of_mice([1])).sum() != pytest.approx(
        done._of_mice(np.array([0]))._log_likelihood(trials.of_mice([1])).sum()
    )


@pytest.mark.parametrize("model", ALONE)
def test_a_mouse_has_its_own_parameters(model, small):
    """A rule that was fitted to mouse 1 alone says of it what the fit to all mice says of it."""
    trials = seen(small[1])
    one = trials.of_mice([1])
    found = fitted(trials, model).log_likelihood(one)
    assert (found == fitted(one, model).log_likelihood(one)).all()


def test_features_are_matched_by_name(known, small):
    _, done, trials = known
    turned = seen(small[1], ("bias", "stimulus"))
    assert done.log_likelihood(turned) == pytest.approx(done.log_likelihood(trials))
    assert done.weights(turned) == pytest.approx(done.weights(trials)[..., ::-1], nan_ok=True)
    with pytest.raises(ValueError, match=r"missing \['bias'\], not expected \['previous_choice'\]"):
        done.log_likelihood(seen(small[1], ("stimulus", "previous_choice")))
    with pytest.raises(ValueError, match=r"missing \[\], not expected \['previous_choice'\]"):
        done.weights(seen(small[1], ("stimulus", "bias", "previous_choice")))


def test_mice_it_does_not_know_are_new_ones(known, small):
    """Refused by name until it is asked for new ones: then one is the average over those it knows, whatever its name."""
    model, done, trials = known
    new = trials.of_mice([0, 0, 0])
    other = Trials(**{**vars(new), "ids": ("x", "y", "z")})
    with pytest.raises(ValueError, match=rf"mouse 'x' is not one of the 4 that {model} was fitted to.*_of_new_mice"):
        done.log_likelihood(other)
    found = done.log_likelihood_of_new_mice(other)
    assert found == pytest.approx(np.tile(found[0], (3, 1)), abs=1e-5) and (found[~other.mask] == 0).all()
    as_each = [done._of_mice(np.array([m]))._log_likelihood(other.of_mice([0])).sum() for m in range(4)]
    assert found[0].sum() == pytest.approx(np.logaddexp.reduce(as_each) - np.log(4), abs=1e-3)
    turned = seen(small[1], ("bias", "stimulus")).of_mice([0])
    assert done.log_likelihood_of_new_mice(turned) == pytest.approx(found[:1], abs=1e-5)


def test_a_mouse_that_is_there_twice_is_refused(known):
    model, done, trials = known
    with pytest.raises(ValueError, match="mouse 'mouse-0003' is there 2 times; expected every id once"):
        done.weights(trials.of_mice([3, 1, 3]))
    with pytest.raises(ValueError, match="mouse 'mouse-0003' is there 2 times"):
        fitted(trials.of_mice([3, 3]), model)


def test_update_is_the_first_step_of_the_weights(known):
    """Before it nothing is there to be remembered; a random walk's weights are smoothed, and go nowhere by rule."""
    model, done, trials = known
    weights = done.weights(trials)
    for m in np.flatnonzero(trials.choice[:, 0] >= 0):
        step = done.update(m, weights[m, :1], trials.x[m, :1], trials.choice[m, :1], trials.reward[m, :1])[0]
        if model == "random-walk":
            assert (step == 0).all()
        else:
            assert step == pytest.approx(weights[m, 1] - weights[m, 0], abs=1e-6)
    points = np.zeros((3, 2)), np.ones((3, 2)), np.ones(3), np.array([0, 1, 1])
    assert done.update(0, *points).shape == (3, 2)
    assert done.spread(*points) is None


def test_parameters_have_intervals_around_them(known):
    model, done, trials = known
    found = done.parameters()
    if model in NEURAL_RULES:
        assert found == {}
        return
    assert {"initial_weight.bias", *(p.name for p in done.rule.parameters if not p.per_weight)} <= set(found)
    assert not {"lapse_low", "response_time"} & set(found)
    for values, intervals in found.values():
        low, high = intervals.T
        assert values.shape == (len(trials.ids),)
        assert ((low <= values + 1e-9) & (values <= high + 1e-9)).all()


def test_saved_and_loaded_it_is_the_same(known, tmp_path):
    model, done, trials = known
    done.save(tmp_path / "fit", {"seconds": 1.5, "versions": {"numpy": "2"}})
    back = load_fit(tmp_path / "fit")
    assert type(back) is type(done)
    assert (back.model, back.ids, back.features) == (model, trials.ids, ("stimulus", "bias"))
    assert back.data_hash == read_card(tmp_path / "fit").data_hash == trials.content_hash()
    assert np.array_equal(back.log_likelihood(trials), done.log_likelihood(trials))
    assert np.array_equal(back.weights(trials), done.weights(trials), equal_nan=True)
    assert back.settings == json.loads(json.dumps(done.settings))
    for name, (values, intervals) in done.parameters().items():
        assert np.array_equal(back.parameters()[name].values, values)
        assert np.array_equal(back.parameters()[name].intervals, intervals)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads((tmp_path / "fit" / "card.json").read_text(), parse_constant=refuse)["seconds"] == 1.5
    assert not list(tmp_path.rglob("*.tmp"))


def test_its_mice_are_those_of_a_cohort(known, tmp_path):
    _, done, _ = known
    done.save(tmp_path)
    cohort = Cohort(mice=6, rule=str(tmp_path))
    theta, layout = cohort.theta(seed=3), cohort.layout
    assert cohort.features == done.features
    for name, column in done.known_rule().theta.items():
        assert (theta[:, layout.index(name)[0]] == column[[0, 1, 2, 3, 0, 1]]).all()
    assert (cohort.known_rule.closed_form is None) == (done.model in NEURAL_RULES)


@pytest.mark.parametrize("model", ["reinforce", "dnnglm"])
def test_hash_is_that_of_the_data(model, small):
    trials = seen(small[1])
    assert fitted(trials, model).data_hash == trials.content_hash()
    assert fitted(trials.first(80), model).data_hash == trials.first(80).content_hash() != trials.content_hash()


def test_a_closed_form_fit_is_loaded_without_torch(small, tmp_path):
    fitted(seen(small[1]), "reinforce").save(tmp_path)
    code = (
        "import sys, pathlib, twin; fit = twin.load_fit(sys.argv[1]); cohort = twin.Cohort(rule=sys.argv[1]); "
        "print(fit.model, cohort.learning_rule.name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["reinforce", "reinforce", "False"]


def test_every_rule_that_is_registered_can_be_fitted():
    assert {*models()} == {"static-glm", "random-walk", *NEURAL_RULES, *RULES} - {"static"}
