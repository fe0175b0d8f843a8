"""What is printed of things in a shell or a notebook: a line each, and names that can be completed."""

from __future__ import annotations

import pytest

from twin.inference.fit import fit
from twin.simulation import Simulation
from twin.studies.scenario import load


def test_reprs_are_a_line(small):
    cohort, rollout, trials = small
    state = Simulation(cohort, "ibl-2019").state
    assert repr(rollout).startswith("<Rollout of 4 mice, ")
    assert repr(trials).endswith(f"({trials.mask.sum()} with a choice): stimulus, bias>")
    assert repr(cohort) == "<Cohort of 4 mice: rule 'reinforce-baseline' on stimulus, bias, rate, baseline given>"
    assert repr(fit(trials.first(50), "static-glm")) == "<RuleFit of 'static-glm' to 4 mice: stimulus, bias>"
    assert repr(load("quickstart")) == "<RecoveryStudy 'quickstart', seed 1>"
    for thing in (cohort, rollout, trials, state):
        assert "\n" not in repr(thing) and len(repr(thing)) < 300


def test_dir_of_a_rollout_holds_its_columns(small):
    assert {"choice", "contrast", "n_mice", "sessions"} <= set(dir(small[1]))
    with pytest.raises(AttributeError, match="its columns are session, contrast"):
        small[1].nothing  # noqa: B018
