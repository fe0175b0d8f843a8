"""Each warning of a rule, by a case that has it and one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fits import fit_of_network

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.flags import UNIDENTIFIED, parameter_flags
from twin.evaluation.told import remembers, told_of
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit
from twin.inference.neural.individuals import Individuals
from twin.simulation import simulate

VARIED = {"distribution": "lognormal", "median": 0.03, "sigma": 0.5}


def record(trials: int = 1500, mice: int = 6, rule: str = "reinforce", **parameters):
    cohort = Cohort(mice=mice, rule=rule, parameters={"rate": VARIED} | parameters)
    rollout = simulate(cohort, "ibl-2019", trials=trials, seed=3)
    return cohort, rollout, Trials.from_rollout(rollout)


def own_rule(cohort, rollout) -> RuleFit:
    """The mice's own rule, as if it had been fitted."""
    unknown, mice = np.full((*rollout.theta.shape, 2), np.nan), rollout.n_mice
    return RuleFit(
        cohort.layout, rollout.theta, unknown, np.zeros(mice), np.ones(mice, bool), rollout.ids, cohort.rule, {"free": ()}
    )


def warned(fitted, trials: Trials, folds: float | None = None) -> dict[str, float]:
    found: dict[str, float] = told_of(fitted, trials, fitted.log_likelihood(trials), fitted.weights(trials), folds)["warnings"]
    return found


@pytest.fixture(scope="module")
def learners():
    return record()


def test_experts_have_been_nowhere_else(learners):
    """Mice that know the task from the first day on tell nothing of the way there."""
    cohort, rollout, trials = record(400, rate=0.003, initial_weight={"stimulus": 5})
    assert warned(own_rule(cohort, rollout), trials)["never-visited"] > 0.7
    assert "never-visited" not in warned(own_rule(*learners[:2]), learners[2])


@pytest.mark.parametrize(("trials", "mice", "expected"), [(300, 2, True), (1000, 15, False)])
def test_too_few_trials_for_a_memory(trials, mice, expected):
    cohort, rollout, seen = record(trials, mice, "window", rate=0.02)
    assert ("little-memory" in warned(own_rule(cohort, rollout), seen)) == expected


def test_only_rules_with_a_memory_are_asked_for_one(learners):
    assert "memory" not in told_of(*_asked(own_rule(*learners[:2]), learners[2]))
    found = [remembers(fit_of_network(kind)) for kind in ("dnnglm", "dnnglm-history", "rnnglm")]
    assert found == [False, True, True]


def _asked(fitted, trials):
    return fitted, trials, fitted.log_likelihood(trials), fitted.weights(trials)


def test_members_that_differ_and_members_that_are_one(learners):
    trials = Trials.from_rollout(replace(learners[1].select([0, 1]), ids=("a", "b")), ("stimulus", "bias", "previous_choice"))
    differ = fit_of_network("dnnglm", members=2)
    assert warned(differ, trials)["seeds-disagree"] > 0.3
    for member in differ.rule.members[1:]:
        member.load_state_dict(differ.rule.members[0].state_dict())
    assert "seeds-disagree" not in warned(differ, trials)


@pytest.mark.parametrize(("folds", "expected"), [(0.5, True), (0.1, False), (None, False)])
def test_folds_that_disagree(learners, folds, expected):
    assert ("folds-disagree" in warned(own_rule(*learners[:2]), learners[2], folds)) == expected


def test_mice_that_tell_no_parameter():
    """In 30 trials of a mouse that never errs, rates and baselines may be anything."""
    _, _, trials = record(30, initial_weight={"stimulus": 8})
    fitted = fit(trials, "reinforce-baseline")
    assert warned(fitted, trials)["not-identified"] > 0.5


def test_mice_that_are_alike_have_no_spread(learners):
    spread = fit(learners[2], "reinforce", population=True)
    assert not {"no-spread", "not-identified"} & set(warned(spread, learners[2]))
    _, _, trials = record(60, rate=0.02)
    assert warned(fit(trials, "reinforce-baseline", population=True), trials)["no-spread"] == 2


def test_scales_under_a_network_by_hand(learners):
    """Of mouse a as much is left open as mice differ by, of mouse b a hundredth."""
    trials = Trials.from_rollout(replace(learners[1].select([0, 1]), ids=("a", "b")), ("stimulus", "bias", "previous_choice"))
    network = fit_of_network("dnnglm")
    mice = Individuals.unknown(network.rule.own_coordinates, False, 2)
    root = torch.stack([torch.diag(mice.sd), torch.diag(mice.sd) / 100])
    fitted = replace(network, individuals=replace(mice, root=root))
    assert list(fitted.untold()) == ["scale.stimulus", "scale.bias", "scale.previous_choice"]
    assert all(found.tolist() == [True, False] for found in fitted.untold().values())
    assert parameter_flags(fitted)["scale.bias"] == [UNIDENTIFIED, None]
    both = replace(fitted, individuals=replace(mice, root=torch.stack([root[0], root[0]])))
    assert ["not-identified" in warned(each, trials) for each in (fitted, both)] == [False, True]
