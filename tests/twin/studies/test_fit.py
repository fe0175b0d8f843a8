"""Kind `fit`: predictions of recorded choices, and where the data are looked for."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from twin.cli import main
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.studies.scenario import load, parse


def test_scores_are_those_of_the_kept_fit(finished, small):
    _, folder, results = finished("fit")
    train, future = Trials.from_rollout(small[1]).split(100)
    fit, model = load_fit(folder / "fits/reinforce-baseline"), results.models["reinforce-baseline"]
    assert model.train_ll_per_trial == pytest.approx(fit.log_likelihood(train).sum() / train.mask.sum())
    later = fit.log_likelihood(future)[future.mask]
    assert model.future_ll_per_trial == pytest.approx(later.mean())
    assert model.accuracy == pytest.approx(np.mean(np.exp(later) > 0.5))


def test_learning_predicts_better_than_none(finished):
    results = finished("fit").results
    assert list(results.models) == ["chance", "reinforce-baseline", "static-glm"]
    assert results.models["chance"].future_ll_per_trial == -math.log(2)
    assert results.models["reinforce-baseline"].train_ll_per_trial > results.models["static-glm"].train_ll_per_trial
    (pair,) = results.comparisons
    a, b = (results.models[name].future_ll_per_trial for name in (pair.a, pair.b))
    assert pair.difference == pytest.approx(a - b)


def test_held_out_scores_are_kept_beside_the_fit(finished):
    _, folder, results = finished("fit")
    for name in ("reinforce-baseline", "static-glm"):
        kept = json.loads((folder / f"fits/{name}/held_out.json").read_text())["scores"]
        assert (results.models[name].heldout_ll_per_trial, results.models[name].heldout_se) == tuple(kept.values())
    assert results.models["chance"].heldout_se is None
    assert "log-lik/trial new mice" in results.summary()


def test_data_are_looked_for_where_the_user_stands_and_then_beside_the_scenario(tmp_path, monkeypatch):
    text = 'kind = "fit"\nname = "f"\ndata = "mice.h5"\n[inference]\nmodels = ["reinforce"]\n'
    beside = tmp_path / "scenarios"
    beside.mkdir()
    (beside / "f.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert load("scenarios/f.toml").data == beside / "mice.h5"
    (tmp_path / "mice.h5").write_text("")
    assert load("scenarios/f.toml").data == tmp_path / "mice.h5"
    with pytest.raises(ValueError, match="x: data: input is not a valid path"):
        parse({"kind": "fit", "name": "f", "data": 3, "inference": {"models": ["reinforce"]}}, "x")


def test_fit_of_a_real_mouse(real_mouse, tmp_path, capsys):
    models = ["--model", "reinforce-baseline", "--model", "dnnglm", "--set", "dnnglm.epochs=3"]
    assert main(["fit", str(real_mouse), *models, "--future", "500", "--out", str(tmp_path / "fit")]) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "fit" / "results.json").read_text())
    assert list(results["models"]) == ["chance", "static-glm", "reinforce-baseline", "dnnglm"]
    assert all(model in printed for model in results["models"])
    scores = {name: model["future_ll_per_trial"] for name, model in results["models"].items()}
    # This mouse learned: weights that moved with its choices predict the later ones far better than any that stood still.
    assert scores["reinforce-baseline"] > scores["static-glm"] + 0.05
    assert scores["static-glm"] > scores["chance"] + 0.05
    assert results["models"]["reinforce-baseline"]["accuracy"] > 0.7
