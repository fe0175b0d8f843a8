"""Maps and slices hold the updates of the rules they are given, on one scale."""

import numpy as np
import pytest
from rollouts import rollout

from twin.data.trials import Trials
from twin.evaluation.visited import Visits
from twin.report.figures.updates import draw_updates, scale_of, update
from twin.report.shown import Shown


def rule(rate, sign=1.0):
    """An update that depends on weight, stimulus, choice and reward."""
    return lambda w, x, choice, reward: sign * rate * (reward[:, None] + 0.1 * w) * (2 * choice[:, None] - 1) * x


@pytest.mark.parametrize("models", [1, 2, 3])
def test_maps_hold_the_updates_on_one_scale(models):
    updates = {f"m{i}": rule(0.1 * i) for i in range(1, models)} | {"true": rule(0.4, -1.0)}  # 'true' last, shown first
    features = ("bias", "previous_choice", "stimulus")
    figure = draw_updates(updates, features, (-1.0, 2.0))
    *panels, bar = figure.axes
    assert len(panels) == 3 * models
    assert "logit per unit, per trial" in bar.get_xlabel()
    image = panels[1].images[0]  # the true rule after left choices
    assert panels[1].get_title() == "true: left choices"
    (rows, columns), (left, right, low, high) = image.get_array().shape, image.get_extent()
    weight = low + (high - low) * (10 + 0.5) / rows
    stimulus = left + (right - left) * (5 + 0.5) / columns  # a left stimulus: a left choice is rewarded
    assert image.get_array()[10, 5] == pytest.approx(-0.4 * (1 + 0.1 * weight) * -1 * stimulus)
    limits = {ax.images[0].get_clim() for ax in panels if ax.images}
    ((low, high),) = limits
    assert low == -high
    assert {line.get_linestyle() for line in panels[2].lines} == {"-"}
    if models > 1:
        assert {"-", "--"} <= {line.get_linestyle() for line in panels[5].lines}


def test_slices_follow_the_outcome_not_the_side():
    ax = draw_updates({"m": rule(0.1)}, ("stimulus", "bias"), (0.0, 2.0)).axes[2]
    correct, incorrect = (line for line in ax.lines if line.get_linestyle() == "--")
    x, right = np.asarray(correct.get_data()), np.asarray(correct.get_xdata()) > 0
    assert x[1][right] == pytest.approx(0.1 * (1 + 0.1) * x[0][right])
    wrong = np.asarray(incorrect.get_data())
    assert wrong[1][right] == pytest.approx(0.1 * 0.1 * -wrong[0][right])


def test_maps_need_a_stimulus():
    with pytest.raises(ValueError, match="stimulus"):
        draw_updates({"m": rule(0.1)}, ("bias",), (0.0, 2.0))


def test_maps_span_the_weights_from_naive_mice_to_the_largest():
    trials = Trials.from_rollout(rollout(mice=2, sessions=2))
    weights = np.full(trials.x.shape, np.nan)
    weights[0, :, trials.features.index("stimulus")] = np.linspace(0.2, 2.7, weights.shape[1])
    figure = update(Shown({}, None, trials, {"m": weights}, None, {"m": rule(0.1)}))
    assert figure.axes[0].images[0].get_extent()[2:] == [0, 3]
    assert "of mouse m0" in figure.get_label()
    true = update(Shown({}, None, trials, {"m": weights}, weights + 3, {"m": rule(0.1)}))
    assert true.axes[0].images[0].get_extent()[2:] == [0, 6]


def test_maps_are_grey_where_no_mouse_has_been():
    """Trials at stimulus weights up to 1 in maps up to 2: the upper half is masked, after either choice."""
    trials = Trials.from_rollout(rollout(mice=1, sessions=8))
    weights = np.zeros(trials.x.shape)
    weights[..., trials.features.index("stimulus")] = np.linspace(0, 1, weights.shape[1])
    visits = {"m": Visits.of(trials, weights, trials.features.index("stimulus"))}
    figure = draw_updates({"m": rule(0.1)}, trials.features, (0.0, 2.0), visits=visits)
    for panel in figure.axes[:2]:
        mask = np.ma.getmaskarray(panel.images[0].get_array())
        assert mask[30:].all() and np.mean(~mask[:30]) > 0.5
    assert "Grey: where no mouse has been." in figure.get_label()


def test_no_map_without_updates_or_features():
    trials = Trials.from_rollout(rollout(mice=2, sessions=2))
    no_bias = Trials.from_rollout(rollout(mice=2, sessions=2), ("stimulus",))
    weights = {"m": np.ones(trials.x.shape)}
    updates = {"m": rule(0.1)}
    assert update(Shown({}, None, trials, weights)) is None
    assert update(Shown({}, None, trials, {}, None, updates)) is None
    assert update(Shown({}, None, no_bias, {"m": np.ones(no_bias.x.shape)}, None, updates)) is None
    assert update(Shown({})) is None


def test_scale_is_not_set_by_a_rule_that_strays_nor_by_one_that_does_not_learn():
    maps = {"true": np.array([0.1]), "a": np.array([0.3]), "wild": np.array([-9.0]), "none": np.array([0.0])}
    assert scale_of(maps) == (0.3, True)
    del maps["true"], maps["none"]
    assert scale_of(maps) == (0.3, True)
    assert scale_of({"a": np.array([0.3]), "b": np.array([0.5])}) == (0.5, False)
    assert scale_of({"a": np.array([0.0])}) == (1.0, False)
    figure = draw_updates({"m": rule(0.1), "random-walk": rule(0.0)}, ("stimulus", "bias"), (0.0, 2.0))
    assert len([ax for ax in figure.axes if ax.images]) == 2
    assert "No trial changes it under random-walk" in figure.get_label()
