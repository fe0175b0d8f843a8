"""Coordinates and the likelihood over them, against exact derivatives by another route."""

import numpy as np
import pytest

from agents import RULES, Layout
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.coordinates import Coordinates
from twin.inference.posterior.mouse import Mouse, Normal
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")


@pytest.fixture(scope="module")
def trials() -> Trials:
    cohort = Cohort(mice=1, features=FEATURES, parameters={"rate": 0.01, "lapse_low": 0.04, "trial_noise": 0.01})
    return Trials.from_rollout(simulate(cohort, "ibl-2019", trials=1500, seed=3))


def mouse_of(trials: Trials, rule: str, names: tuple[str, ...], nodes: int) -> Mouse:
    layout = Layout(RULES[rule], FEATURES)
    columns = [c for name in names for c in layout.index(name)]
    coordinates = Coordinates(layout, layout.defaults(), columns)
    return Mouse(FilteredLikelihood(trials, 0, layout, nodes), coordinates, "mouse")


@pytest.mark.parametrize("rule", [name for name in RULES if name != "static"])
def test_derivatives_without_noise_are_those_of_the_complex_step(rule, trials):
    names = (*(p.name for p in RULES[rule].parameters), "initial_weight", "lapse_low", "lapse_high")
    mouse = mouse_of(trials, rule, names, nodes=1)
    u = mouse.coordinates.centre + 0.1
    theta = mouse.coordinates.theta(u)
    exact = MouseLikelihood(trials, 0, mouse.coordinates.layout).evaluate(theta, list(mouse.coordinates.columns))
    slope = (mouse.coordinates.theta(u + 1e-6) - mouse.coordinates.theta(u - 1e-6))[list(mouse.coordinates.columns)] / 2e-6
    found = mouse.scores(u)
    assert found.value == pytest.approx(-exact.nll, rel=1e-10)
    assert found.gradient == pytest.approx(-exact.gradient * slope, rel=1e-4, abs=1e-3)
    assert found.information == pytest.approx(exact.information * np.outer(slope, slope), rel=1e-3, abs=1e-3)


def test_climbing_ends_where_no_direction_is_up(trials):
    mouse = mouse_of(trials, "reinforce-baseline", ("rate", "baseline", "initial_weight", "trial_noise", "lapse_low"), nodes=5)
    before = Normal(mouse.coordinates.centre, mouse.coordinates.width)
    top = mouse.climb(before.mean, before)
    around = top + 0.05 * np.random.default_rng(0).normal(size=(64, len(top)))
    value = mouse.log_likelihoods(np.vstack([top, around])) + before.log_density(np.vstack([top, around]))
    assert value[0] > value[1:].max() - 0.03


@pytest.mark.parametrize(
    "name", ["rate", "trial_noise.bias", "day_noise.stimulus", "lapse_low", "baseline", "initial_weight.bias"]
)
def test_zero_is_a_place_like_others(name, trials):
    """The coordinate of 0 is finite, of every value it is the inverse, and what is reported lies within the bounds."""
    layout = Layout(RULES["reinforce-baseline"], FEATURES)
    coordinates = Coordinates(layout, layout.defaults(), layout.index(name))
    one, parameter = coordinates.each[0], layout.columns[name]
    for value in (0.0, 1e-4, 0.03, 0.2):
        assert one.natural(np.array(one.of(value))) == pytest.approx(value, abs=1e-15)
    u = np.linspace(0.1, 4.0, 9)
    assert one.folded == bool((one.natural(u) == one.natural(-u)).all())
    reported = coordinates.reported(np.linspace(-4.0, 4.0, 33)[:, None])[:, layout.index(name)[0]]
    assert (reported >= parameter.low).all() and (reported <= parameter.high).all()


def test_narrowed_bounds_are_kept(trials):
    layout = Layout(RULES["reinforce-baseline"], FEATURES).within({"baseline": (0.0, 0.5)})
    coordinates = Coordinates(layout, layout.defaults(), layout.index("baseline"))
    found = coordinates.theta(np.linspace(-10, 10, 101)[:, None])[:, layout.index("baseline")]
    assert found.min() >= 0.0 and found.max() <= 0.5
