"""Recovered parameters: every interval is drawn, misses stand out, and strays do not stretch the axis."""

import numpy as np
import pytest

from twin.report.figures.parameters import axis_limits, draw_parameters, parameters
from twin.report.shown import Shown
from twin.report.style import png_bytes


def recovered(true, estimate, half):
    true, estimate = np.asarray(true, float), np.asarray(estimate, float)
    ci95 = np.stack([estimate - half, estimate + half], axis=1)
    covered = np.mean((ci95[:, 0] <= true) & (true <= ci95[:, 1]))
    return {"true": true.tolist(), "estimate": estimate.tolist(), "ci95": ci95.tolist(), "covered": float(covered)}


def test_every_interval_is_drawn_and_misses_are_marked():
    figure = draw_parameters(
        "m",
        {
            "rate": recovered([0.1, 0.2, 0.3], [0.1, 0.2, 0.5], 0.05),
            "initial_weight.bias": recovered([0.0, 0.0, 0.0], [0.3, -0.1, 0.1], 0.15),
        },
    )
    varied, alike = figure.axes
    assert varied.get_title() == "rate\ntruth in 67 % of intervals"
    assert varied.get_ylabel() == "estimate (weight per trial)"
    assert varied.get_xlabel() == "true"
    hit, missed = varied.collections
    assert [segment.ravel().tolist() for segment in hit.get_segments()] == [
        pytest.approx([0.1, 0.05, 0.1, 0.15]),
        pytest.approx([0.2, 0.15, 0.2, 0.25]),
    ]
    assert missed.get_segments()[0].ravel() == pytest.approx([0.3, 0.45, 0.3, 0.55])
    assert "mouse" in alike.get_xlabel()
    assert alike.get_ylabel() == "estimate (logit per feature)"
    points = {x: y for line in alike.lines if line.get_marker() == "o" for x, y in zip(*line.get_data(), strict=True)}
    assert [points[x] for x in (1, 2, 3)] == pytest.approx([-0.1, 0.1, 0.3])


def test_unbounded_intervals_and_strays_do_not_stretch_the_axis():
    true, estimate = np.linspace(0.1, 0.2, 10), np.linspace(0.1, 0.2, 10) + 0.01
    ci95 = np.stack([estimate - 0.02, estimate + 0.02], axis=1)
    ci95[3], ci95[4], ci95[5], estimate[6] = (-np.inf, np.inf), (np.nan, np.nan), (-10, 1e9), 1e6
    floor, ceiling = axis_limits(true, estimate, ci95)
    assert -0.05 < floor < 0.1
    assert 0.2 < ceiling < 0.35
    entry = {"true": true, "estimate": estimate, "ci95": ci95, "covered": 0.8}
    figure = draw_parameters("m", {"rate": entry, "one": {k: v[:1] for k, v in entry.items() if k != "covered"} | entry})
    assert png_bytes(figure).startswith(b"\x89PNG")
    beyond = [line for line in figure.axes[0].lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in beyond] == [true[6]]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_perfect_recovery_of_one_mouse_has_an_axis(value):
    figure = draw_parameters("m", {"rate": recovered([value], [value], 0.0)})
    low, high = figure.axes[0].get_ylim()
    assert low < value < high


def test_one_figure_for_each_model_that_has_parameters():
    models = {"a": {"parameters": {"rate": recovered([0.1], [0.1], 0.1)}}, "net": {"parameters": {}}, "chance": {}}
    drawn = parameters(Shown({"models": models}))
    assert list(drawn) == ["parameters-a"]
    assert drawn["parameters-a"].get_label().startswith("Parameters estimated by a ")
