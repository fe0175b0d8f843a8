"""Prediction of mice that a model was not fitted to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from twin.cli import main
from twin.cohort import Cohort
from twin.data.store import write_rollout
from twin.data.trials import Trials
from twin.evaluation.cross_validation import held_out_scores
from twin.inference.fit import fit
from twin.simulation import simulate


@pytest.fixture(scope="module")
def rollout():
    """Six mice that learn fast; none differs from another."""
    return simulate(Cohort(mice=6, parameters={"rate": 0.15}), trials=500, seed=2)


def test_a_new_mouse_is_the_median_one(small):
    trials = small[2]
    old, new = trials.of_mice([0, 1, 2]), trials.of_mice([3])
    fitted = fit(old, "reinforce-baseline")
    guess = fitted.for_new_mice(new)
    assert guess.theta[0] == pytest.approx(np.median(fitted.theta, axis=0))
    network = fit(old, "dnnglm", epochs=2, hidden=6)
    assert network.for_new_mice(new).initial_weights[0] == pytest.approx(np.median(network.initial_weights, axis=0))
    own = fit(old, "dnnglm", epochs=1, hidden=6, initial="first-trials").for_new_mice(new)
    assert own.initial_weights[0] == pytest.approx(fit(new.first(100), "static-glm").weights(new)[0, 0])


def test_score_by_hand(small):
    trials = small[2]
    found = held_out_scores(trials, "reinforce", 4, seed=0)
    each = []
    for m in range(4):
        rest = [i for i in range(4) if i != m]
        ll = fit(trials.of_mice(rest), "reinforce").for_new_mice(trials.of_mice([m])).log_likelihood(trials.of_mice([m]))
        each.append(ll.sum() / trials.mask[m].sum())
    assert found["heldout_ll_per_trial"] == pytest.approx(np.mean(each))
    assert found["heldout_se"] == pytest.approx(np.std(each, ddof=1) / 2)


def test_learning_predicts_new_mice_better_than_none(rollout):
    trials = Trials.from_rollout(rollout)
    scores = {model: held_out_scores(trials, model, 3)["heldout_ll_per_trial"] for model in ("static-glm", "reinforce")}
    assert scores["reinforce"] > scores["static-glm"] + 0.01


def test_folds_must_fit_the_mice(small):
    for folds in (1, 5):
        with pytest.raises(ValueError, match=f"folds = {folds}: with 4 mice expected 2 to 4"):
            held_out_scores(small[2], "reinforce", folds)


def test_folds_from_the_shell(rollout, tmp_path: Path, capsys):
    write_rollout(rollout, tmp_path / "mice.h5")
    command = ["fit", str(tmp_path / "mice.h5"), "--folds", "2", "--out", str(tmp_path / "out")]
    models = ["--model", "reinforce", "--model", "dnnglm", "--set", "dnnglm.epochs=2", "--set", "dnnglm.hidden=6"]
    assert main([*command, *models]) in (0, None)
    results = json.loads((tmp_path / "out" / "results.json").read_text())["models"]
    assert all(np.log(0.5) < results[m]["heldout_ll_per_trial"] < 0 for m in ("reinforce", "dnnglm"))
    assert "log-lik/trial new mice" in capsys.readouterr().out


def test_a_folder_used_again_with_other_data_is_fitted_again(rollout, tmp_path: Path):
    """Fits and scores of held-out mice are those of a fresh folder; with the same data again nothing is done."""
    other = simulate(Cohort(mice=4, parameters={"rate": 0.03}), trials=300, seed=8)

    def scores(data, out: str) -> dict[str, float]:
        write_rollout(data, tmp_path / "mice.h5")
        assert (
            main(["fit", str(tmp_path / "mice.h5"), "--folds", "2", "--model", "reinforce", "--out", str(tmp_path / out)]) == 0
        )
        found = json.loads((tmp_path / out / "results.json").read_text())["models"]["reinforce"]
        return {key: value for key, value in found.items() if key != "seconds"}

    first = scores(rollout, "used")
    assert scores(other, "used") == scores(other, "fresh") != first
    log = (tmp_path / "used" / "log.txt").read_text()
    assert scores(other, "used") != first
    assert "fitted" not in (tmp_path / "used" / "log.txt").read_text().removeprefix(log)
