"""What a user registers: taken by its name, or refused in a sentence that shows the line."""

from __future__ import annotations

import math

import numpy as np
import pytest

import twin
from agents.features import FEATURES, design_matrix, feature_codes
from agents.neural.registry import NEURAL_RULES, register_network
from agents.rules import NO_RULES, RULES
from twin.cohort import RANDOM
from twin.inference.registry import CLOSED_FORM
from twin.studies.table import TAKEN


@pytest.fixture(autouse=True)
def registries_as_before():
    before = [dict(registry) for registry in (RULES, FEATURES, NEURAL_RULES._own)]
    yield
    for registry, kept in zip((RULES, FEATURES, NEURAL_RULES._own), before, strict=True):
        registry.clear()
        registry.update(kept)


def not_analytic(w, eligibility, critic, x, choice, reward, p_right):
    size = abs(w)
    return w + size * (1 - reward) * x, eligibility, critic


def two_returns(w, eligibility, critic, x, choice, reward, p_right):
    w = w + x
    return w, eligibility


def not_arithmetic(w, eligibility, critic, x, choice, reward, p_right):
    if reward > 0:
        w = w + x
    return w, eligibility, critic


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (not_analytic, r"analytic in w, .*; line \d+ of test_register.py: `size = abs\(w\)`$"),
        (two_returns, r"it returns 2 values; line \d+ of test_register.py: `return w, eligibility`$"),
        (not_arithmetic, r"without `if` or `math`; .*; line \d+ of test_register.py: `if reward > 0:`$"),
    ],
)
def test_a_wrong_rule_shows_its_line(update, message):
    with pytest.raises(ValueError, match=message):
        twin.register_rule("mine")(update)
    assert "mine" not in RULES


@pytest.mark.parametrize("name", ["rnn", "static-glm", "dnnglm", "reinforce", "", "a/b", "a:b", "x" * 101])
def test_a_name_that_a_rule_cannot_have(name):
    with pytest.raises(ValueError, match=r"already|expected a name"):
        twin.register_rule(name)(lambda w, eligibility, critic, x, choice, reward, p_right: (w, eligibility, critic))


def test_names_that_stand_for_something_else_are_all_there():
    assert set(NO_RULES) == {RANDOM, *CLOSED_FORM, *TAKEN}


def test_a_rule_written_again_takes_its_place():
    """As in a notebook whose cell is run again."""
    for factor in (1.0, 2.0):

        @twin.register_rule("mine")
        def mine(w, eligibility, critic, x, choice, reward, p_right, factor=factor):
            return w + factor * x, eligibility, critic

        weights = twin.simulate(twin.Cohort(mice=1, rule="mine", features=["bias"]), trials=3).weights
        assert weights[:, 0] == pytest.approx([0.0, factor, 2 * factor])


def fails(contrast, previous_choice, previous_reward, previous_contrast):
    return math.log(contrast)


def no_number(contrast, previous_choice, previous_reward, previous_contrast):
    return "strong" if contrast > 0.5 else 0.0


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("mine", fails, r"at contrast = -1, .* it fails: .*; line \d+ of test_register.py: `return math.log\(contrast\)`$"),
        ("mine", no_number, r"one finite number; at contrast = 1, .* it returns str; line \d+ of test_register.py: `return "),
        ("mine", lambda contrast: contrast, r"must take \(contrast, previous_choice, previous_reward, previous_contrast\)"),
        ("mine", 3, "3 is not a function"),
        ("bias", fails, "feature 'bias' is there already"),
        ("a.b", fails, "expected a name of letters"),
    ],
)
def test_a_wrong_feature(name, function, message):
    with pytest.raises(ValueError, match=message):
        twin.register_feature(name)(function)


def test_own_features_by_hand_and_when_mirrored():
    def sign(contrast, previous_choice, previous_reward, previous_contrast):
        return math.copysign(1.0, contrast) if contrast else 0.0

    def repeated(contrast, previous_choice, previous_reward, previous_contrast):
        return 1.0 if contrast * previous_contrast > 0 else 0.0

    def right_won(contrast, previous_choice, previous_reward, previous_contrast):
        return max(previous_reward, 0.0)

    own = {"own_sign": sign, "own_repeated": repeated, "own_right_won": right_won}
    for name, function in own.items():
        twin.register_feature(name)(function)
    assert [FEATURES[name].mirrored for name in own] == [-1, 1, 0]
    contrast = np.array([0.5, 0.25, 0.0, -1.0, -0.125])
    choice, reward, new = np.array([1, 1, 0, -1, 0], np.int8), np.array([1, 0, 1, 0, 1], np.int8), np.array([1, 0, 0, 0, 0]) > 0
    x = design_matrix(feature_codes(tuple(own)), contrast, choice, reward, new)
    assert x.T.tolist() == [[1, 1, 0, -1, -1], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]


def test_a_network_needs_a_name_of_its_own():
    with pytest.raises(ValueError, match="is no network; expected a subclass"):
        register_network(dict)
    with pytest.raises(ValueError, match="network 'reinforce': stands for something else"):
        register_network(type("Mine", (NEURAL_RULES["dnnglm"],), {"name": "reinforce"}))
