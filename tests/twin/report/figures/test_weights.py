"""Weights are drawn from the first to the last trial of a mouse, beside the true ones."""

import numpy as np
import pytest
from drawings import drawn
from rollouts import rollout

from twin.data.trials import Trials
from twin.report.figures.weights import draw_weights, weights
from twin.report.shown import Shown


def test_weights_stop_at_the_last_trial():
    trials = Trials.from_rollout(rollout(mice=2, sessions=3), ("stimulus", "bias", "previous_choice"))
    true = np.random.default_rng(0).normal(size=trials.x.shape)
    true[1, 120:] = np.nan
    figure = draw_weights(trials, {"a": true + 1, "b": true + 2}, true, mouse=1)
    assert len(figure.axes) == 3
    for k, (ax, feature) in enumerate(zip(figure.axes, ("stimulus", "bias", "previous choice"), strict=True)):
        assert feature in ax.get_ylabel()
        assert "logit per unit" in ax.get_ylabel()
        for name, offset in (("true", 0), ("a", 1), ("b", 2)):
            x, y = drawn(ax, name)
            assert x.tolist() == list(range(1, 121))
            assert y == pytest.approx(true[1, :120, k] + offset)
        boundaries = [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
        assert boundaries == [60.5]
    assert figure.axes[-1].get_xlabel() == "trial"


def test_several_mice_are_drawn_where_there_are_several():
    trials = Trials.from_rollout(rollout(mice=9, sessions=10, trials=12))
    values = np.random.default_rng(0).normal(size=trials.x.shape)
    figure = weights(Shown({}, None, trials, {"a": values}))
    rows = [figure.axes[i : i + 2] for i in range(0, len(figure.axes), 2)]
    assert [row[0].get_ylabel() for row in rows] == ["m0", "m1", "m3", "m4", "m6", "m8"]
    for row in rows:
        mouse = trials.ids.index(row[0].get_ylabel())
        for k, ax in enumerate(row):
            assert drawn(ax, "a")[1] == pytest.approx(values[mouse, : trials.lengths[mouse], k])
    assert "6 of 9 mice" in figure.get_label()
    assert len(weights(Shown({}, None, trials.of_mice([4]), {"a": values[[4]]})).axes) == 2
