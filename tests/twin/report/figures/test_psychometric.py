"""The figure of psychometric curves draws the counts and fits of the results, and says what they do not determine."""

import json

import numpy as np
import pytest
from drawings import legend
from rollouts import FULL, rollout

from twin.evaluation.performance import behavior
from twin.evaluation.psychometric.curve import psychometric
from twin.report.figures.psychometric import draw_curves
from twin.report.figures.psychometric import psychometric as psychometric_figure
from twin.report.shown import Shown


def test_points_and_curves_are_those_of_the_results():
    curves = json.loads(json.dumps(behavior(rollout())["psychometric_curves"]))
    ax = draw_curves(curves).axes[0]
    assert "%" in ax.get_xlabel()
    assert ax.get_ylabel() == "P(right choice)"
    fitted = [line for line in ax.lines if len(line.get_xdata()) > len(FULL)]
    for container, line, text, end in zip(ax.containers, fitted, legend(ax), ("first", "last"), strict=True):
        curve = curves[end]
        x, y = container.lines[0].get_data()
        assert (x.tolist(), y.tolist()) == (curve["levels"], curve["p"])
        (bars,) = container.lines[2]
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert ends == pytest.approx(np.transpose(curve["ci95"]))
        assert line.get_ydata() == pytest.approx(psychometric(line.get_xdata(), **curve["fit"]))
        assert f"{end} 3 sessions\n{sum(curve['choices']):,} choices" in text
        assert f"threshold {curve['fit']['threshold']:.1f} %" in text
        assert f"{curve['fit']['lapse_high']:.3f} right" in text


@pytest.mark.parametrize(
    ("contrasts", "truth", "expected", "curves"),
    [
        ((-1, 0, 1), (0, 20, 0.1, 0.1), "3 of the 4 contrasts", 0),
        ((-1, -0.5, 0.5, 1), (0, 20, 0.6, 0.7), "no rising curve", 0),  # prefers the wrong side
        ((-1, -0.5, 0.5, 1), (0, 1, 0.2, 0.2), "not determined:\nno contrast on the slope", 1),
    ],
)
def test_no_threshold_where_the_data_have_none(contrasts, truth, expected, curves):
    data = rollout(sessions=2, trials=500, contrasts=contrasts, truth=truth)
    ax = draw_curves(behavior(data)["psychometric_curves"]).axes[0]
    assert len(ax.containers) == 1  # two sessions are first and last ones alike
    (text,) = legend(ax)
    assert text.startswith("all sessions")
    assert expected in text and "threshold 1" not in text
    assert sum(len(line.get_xdata()) > len(contrasts) for line in ax.lines) == curves


def test_mice_are_averaged_not_pooled():
    results = json.loads(json.dumps(behavior(rollout())))
    curves = results["psychometric_over_mice"]
    ax = psychometric_figure(Shown(results)).axes[0]
    for container, text, end in zip(ax.containers, legend(ax), ("first", "last"), strict=True):
        assert container.lines[0].get_ydata().tolist() == curves[end]["mean"]
        (bars,) = container.lines[2]
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert ends == pytest.approx(np.transpose(curves[end]["ci95"]))
        assert text.startswith(f"{end} 3 sessions\n3 mice\nstage at the end: ")
        assert f"threshold {curves[end]['threshold']['median']:.1f} [" in text
    single = [line for line in ax.lines if line.get_linewidth() == 0.5]
    assert len(single) == 6
    one = psychometric_figure(Shown(behavior(rollout(mice=1))))
    assert "95 % Wilson" in one.get_label()
