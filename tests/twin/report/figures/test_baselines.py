"""Every mouse and model is drawn in the panel of its variant."""

import pytest

from twin.report.figures.baselines import draw_baselines


def variant(true, *estimates):
    models = {
        f"model-{i}": {"estimates": [e, e + 0.1, None], "ci95": [(e - 1, e + 1)] * 2 + [(None, None)]}
        for i, e in enumerate(estimates)
    }
    return {"true": true, "models": models}


@pytest.mark.parametrize("number", [1, 4, 5])
def test_a_panel_for_each_variant(number):
    variants = {f"kind-{i}": variant(-0.1 * i, 0.2, -5.0) for i in range(number)}
    figure = draw_baselines(variants)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title().split(",")[0] for ax in panels] == list(variants)
    assert panels[0].get_ylabel() == "baseline (reward)"
    assert all(ax.get_xlabel() == "mouse (in order of estimate)" for ax in panels)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["model-0", "model-1"]
    colours = {line.get_color() for line in panels[0].lines if len(line.get_xdata()) == 3}
    assert len(colours) == 2
    assert "dashed: the true one" in figure.get_label()
