"""The learning curve shows single mice, their median, how many there are, and the stages of the protocol."""

import numpy as np
import pytest
from drawings import drawn, legend
from rollouts import rollout

from twin.evaluation.performance import MICE_SHOWN, behavior
from twin.report.figures.learning import draw_learning
from twin.report.style import GREY, png_bytes


def learning_figure(data):
    results = behavior(data)
    return draw_learning(results["learning_curve"], results["stage_fractions"], results["mice"])


def test_mice_median_and_stages():
    data = rollout()
    top, stages = learning_figure(data).axes
    correct = np.full((3, 8), np.nan)
    for m in range(3):
        for s in range(8 - m):
            easy = (data.mouse == m) & (data.session == s) & (np.abs(data.contrast) >= 0.5)
            correct[m, s] = data.reward[easy].mean()
    x, median = drawn(top, "median")
    assert x.tolist() == list(range(1, 9))
    expected = np.nanmedian(correct, axis=0)
    assert median[:6] == pytest.approx(expected[:6])  # of all three mice; from then on of survivors
    assert np.isnan(median[6:]).all()
    survivors = drawn(top, "of fewer than 3 mice")[1]
    assert np.isnan(survivors[:5]).all()
    assert survivors[5:] == pytest.approx(expected[5:])
    (dotted,) = [line for line in top.lines if str(line.get_label()).startswith("of fewer")]
    assert dotted.get_linestyle() == ":"
    assert drawn(top, "single mice (3 of 3)")[1] == pytest.approx(correct[0])
    assert "|contrast| ≥ 50 %" in top.get_ylabel()
    assert stages.get_xlabel() == "session"
    assert stages.get_legend().get_title().get_text() == "protocol stage"
    assert legend(stages) == list("543210")
    filled = [c.get_paths()[0].contains_point((6.1, 0.5)) for c in stages.collections]  # all mice with a sixth session: stage 5
    assert filled == [False, False, False, False, False, True]


def test_the_number_of_mice_behind_the_median_is_written_above_it():
    top = learning_figure(rollout()).axes[0]
    (above,) = top.child_axes
    assert above.get_xlabel() == "mice"
    assert [label.get_text() for label in above.get_xticklabels()] == list("33333321")
    few = learning_figure(rollout(mice=3, sessions=40, trials=5)).axes[0].child_axes[0]
    assert [label.get_text() for label in few.get_xticklabels()][-1] == "1"
    assert len(few.get_xticks()) <= 10


def test_some_of_many_mice_are_drawn():
    top, _ = learning_figure(rollout(mice=50, sessions=2, trials=10, contrasts=(-1, 1))).axes
    assert len([line for line in top.lines if line.get_color() == GREY]) == MICE_SHOWN


@pytest.mark.parametrize("staged", [True, False])
@pytest.mark.parametrize("sessions", [1, 4])
def test_one_mouse_without_strong_contrasts(sessions, staged):
    figure = learning_figure(rollout(mice=1, sessions=sessions, staged=staged, contrasts=(-0.25, 0.125, 0.25)))
    assert len(figure.axes) == 1 + staged
    assert len(drawn(figure.axes[0], "m0")[0]) == sessions
    assert "|contrast| = 25 %" in figure.axes[0].get_ylabel()
    assert not figure.axes[0].child_axes
    assert png_bytes(figure).startswith(b"\x89PNG")
