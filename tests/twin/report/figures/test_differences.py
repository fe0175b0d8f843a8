"""Every mouse is in a bar: those without a difference too."""

import numpy as np
import pytest

from twin.evaluation.designs import DesignOutcome, compare_designs
from twin.report.figures.differences import HEIGHT, draw_differences


def test_bars_of_a_row_add_up_to_all_mice():
    first = np.array([5.0] * 10)
    second = np.add(first, [0, 0, 0, 0, 0, 0, -1, 2, 2, 3])
    outcomes = {name: DesignOutcome(s < 90, s > 90, s, s, s, s) for name, s in (("on", first), ("off", second))}
    results = compare_designs(outcomes, 20)
    figure = draw_differences(["on", "off"], results["comparisons"], 20)
    (bars,) = figure.axes[0].containers
    shares = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() / HEIGHT * 0.6 for bar in bars}
    assert shares == pytest.approx({-1: 0.1, 0: 0.6, 2: 0.2, 3: 0.1})
    assert [bool(bar.get_hatch()) for bar in bars] == [False, True, False, False]
    assert "hatched without a difference" in figure.get_label()
