"""Scores of models are drawn where they are."""

import math

import pytest
from drawings import drawn

from twin.report.figures.scores import draw_scores, models
from twin.report.shown import Shown

SCORES = {"a": {"train_ll_per_trial": -0.5, "future_ll_per_trial": -0.6}, "b": {"train_ll_per_trial": -0.4}}


def test_scores_intervals_and_chance():
    ax = draw_scores(SCORES | {"c": {"heldout_ll_per_trial": -0.55, "heldout_se": 0.01}}).axes[0]
    assert "nats" in ax.get_xlabel()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    points = {(line.get_xdata()[0], round(line.get_ydata()[0])) for line in ax.lines if line.get_marker() != "None"}
    assert points == {(-0.5, 0), (-0.6, 0), (-0.4, 1), (-0.55, 2)}
    assert drawn(ax, "chance")[0][0] == pytest.approx(-math.log(2))
    (bar,) = ax.collections
    assert bar.get_segments()[0][:, 0] == pytest.approx([-0.5696, -0.5304], abs=1e-5)


def test_an_interval_without_width_is_drawn():
    ax = draw_scores({"a": {"heldout_ll_per_trial": -0.55, "heldout_se": 0.0}}).axes[0]
    assert ax.collections[0].get_segments()[0][:, 0] == pytest.approx([-0.55, -0.55])


def test_nothing_is_drawn_of_models_without_such_scores():
    assert models(Shown({"models": {"a": {"nll_per_trial": 0.5}}})) is None
    assert models(Shown({})) is None
