"""Updates after either kind of history, of the truth and of every model."""

import numpy as np
import pytest
from drawings import drawn

from twin.report.figures.memory import draw_history_updates, history
from twin.report.shown import Shown


def gap(recovered):
    true = {"rewarded": [0.1, 0.2, 0.3], "unrewarded": [0.0, 0.0, 0.0]}
    estimate = {kind: [recovered * y for y in updates] for kind, updates in true.items()}
    return {"stimulus": [-2, 0, 2], "updates": {"true": true, "estimate": estimate}, "recovered": recovered, "true": 0.2}


def test_truth_and_estimate_of_every_model():
    axes = draw_history_updates({"a": gap(0.5), "b": gap(0.0)}).axes
    assert [ax.get_title() for ax in axes] == ["a: 50 % of the true gap", "b: 0 % of the true gap"]
    assert "logit per unit, per trial" in axes[0].get_ylabel()
    for ax, recovered in zip(axes, (0.5, 0.0), strict=True):
        assert drawn(ax, "true, rewarded")[1].tolist() == [0.1, 0.2, 0.3]
        x, y = drawn(ax, "inferred, rewarded")
        assert x.tolist() == [-2, 0, 2]
        assert y == pytest.approx(recovered * np.array([0.1, 0.2, 0.3]))
        assert not drawn(ax, "inferred, unrewarded")[1].any()


def test_only_where_the_true_rule_tells_histories_apart():
    models = {"a": {"history_gap": gap(0.5)}, "b": {"history_gap": {}}}
    assert len(history(Shown({"models": models})).axes) == 1
    assert history(Shown({"models": {"a": {"history_gap": gap(0.5) | {"true": 0.0}}, "chance": {}}})) is None
