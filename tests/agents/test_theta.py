"""The columns of theta: which parameter stands where, and what is said of a name there is not."""

from __future__ import annotations

import numpy as np
import pytest

from agents import RULES, Layout
from agents.response import RESPONSE_TRAITS

FEATURES = ("stimulus", "bias", "previous_choice")


def numbered(rule: str) -> tuple[Layout, np.ndarray]:
    """A layout and two mice whose parameters are the numbers of their columns, plus 100 for the second mouse."""
    layout = Layout(RULES[rule], FEATURES)
    return layout, np.arange(len(layout.names), dtype=float) + np.array([[0.0], [100.0]])


@pytest.mark.parametrize("rule", RULES)
def test_unpacked_values_are_those_of_the_named_columns(rule):
    layout, theta = numbered(rule)
    parts = layout.unpack(theta)
    assert parts.rule_parameters.shape == (2, len(FEATURES), len(RULES[rule].parameters))
    for k, feature in enumerate(FEATURES):
        for name in ("initial_weight", "trial_noise", "day_noise"):
            assert (getattr(parts, name)[:, k] == theta[:, layout.names.index(f"{name}.{feature}")]).all()
        for r, parameter in enumerate(RULES[rule].parameters):
            column = f"{parameter.name}.{feature}" if parameter.per_weight else parameter.name
            assert (parts.rule_parameters[:, k, r] == theta[:, layout.names.index(column)]).all()
    for i, name in enumerate(("lapse_low", "lapse_high")):
        assert (parts.lapses[:, i] == theta[:, layout.names.index(name)]).all()
    for i, trait in enumerate(RESPONSE_TRAITS):
        assert (parts.response_traits[:, i] == theta[:, layout.names.index(trait.name)]).all()
    assert sum(len(layout.index(p)) for p in dict.fromkeys(name.split(".")[0] for name in layout.names)) == theta.shape[1]


def test_a_complex_theta_stays_complex_where_it_is_differentiated():
    layout, theta = numbered("reinforce")
    parts = layout.unpack(theta + 1e-30j)
    assert (parts.rule_parameters.imag == 1e-30).all() and (parts.lapses.imag == 1e-30).all()
    assert parts.response_traits.dtype == float


def test_a_general_name_means_every_weight():
    layout, _ = numbered("full-mouse")
    assert [layout.names[c] for c in layout.index("forgetting")] == [f"forgetting.{f}" for f in FEATURES]
    assert [layout.names[c] for c in layout.index("forgetting.bias")] == ["forgetting.bias"]
    with pytest.raises(ValueError, match="unknown parameter of rule 'full-mouse': 'forgeting'; did you mean 'forgetting'"):
        layout.index("forgeting")
    with pytest.raises(ValueError, match="unknown feature 'bais'; did you mean 'bias'"):
        Layout(RULES["static"], ("bais",))
