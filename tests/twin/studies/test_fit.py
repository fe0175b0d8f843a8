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


HEADER = "subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left,response_time"


def table_of_mice(path, mice, trials=120):
    """Mice by name, each (chooses, errs): a csv of two sessions."""
    rng, lines = np.random.default_rng(3), [HEADER]
    for name, (chooses, errs) in mice.items():
        for trial in range(trials):
            side, session = 2 * int(rng.integers(2)) - 1, 1 + trial * 2 // trials
            choice = (side if rng.random() > errs else -side) if chooses else 0
            stimulus = "0,0.5" if side > 0 else "0.5,0"
            lines.append(f"{name},{session},2021-03-0{session},{trial},{stimulus},{choice},{int(choice == side)},0.5,1")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_mouse_without_choices_is_named_and_left_out(tmp_path, capsys):
    data = table_of_mice(tmp_path / "mice.csv", {"m1": (True, 0.2), "m3": (False, 0.0)})
    assert main(["fit", str(data), "--model", "reinforce", "--out", str(tmp_path / "run")]) == 0
    assert "note: mouse 'm3' made no choice; it is left out of the fits" in capsys.readouterr().out
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["notes"] == ["mouse 'm3' made no choice; it is left out of the fits"]
    one, three = results["mice_table"]
    assert set(one["fits"]) == {"static-glm", "reinforce"} and "fits" not in three
    assert load_fit(tmp_path / "run/fits/reinforce").ids == ("m1",)
    nobody = table_of_mice(tmp_path / "nobody.csv", {"m3": (False, 0.0)})
    assert main(["fit", str(nobody), "--model", "reinforce", "--out", str(tmp_path / "none")]) == 2
    assert "none of its 1 mice made a choice; there is nothing to fit" in capsys.readouterr().err


def test_every_model_of_a_perfect_mouse_ends_with_a_report(tmp_path):
    data = table_of_mice(tmp_path / "perfect.csv", {"m1": (True, 0.0)}, trials=100)
    models = ["static-glm", "reinforce", "random-walk"]
    chosen = [part for model in models for part in ("--model", model)]
    assert main(["fit", str(data), *chosen, "--out", str(tmp_path / "run")]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert set(results["models"]) == {"chance", *models} and (tmp_path / "run/report.html").is_file()
    (row,) = results["mice_table"]
    for model in models:
        flags = {p["flag"] for p in row["fits"][model]["parameters"].values()}
        assert flags - {None}, model


def test_rows_of_mice_are_in_page_and_csv(finished):
    _, folder, results = finished("fit")
    page, lines = (folder / "report.html").read_text(), (folder / "mice.csv").read_text().splitlines()
    assert len(lines) == 1 + results.mice == 1 + len(results.mice_table)
    columns = lines[0].split(",")
    fit = load_fit(folder / "fits/reinforce-baseline")
    for m, (row, line) in enumerate(zip(results.mice_table, lines[1:], strict=True)):
        cells = dict(zip(columns, line.split(","), strict=True))
        rate = row.fits["reinforce-baseline"].parameters["rate"]
        assert rate.estimate == fit.parameters()["rate"].values[m] == float(cells["reinforce-baseline.rate.estimate"])
        static = row.fits["static-glm"].ll_per_trial
        assert row.fits["reinforce-baseline"].minus_static == pytest.approx(
            row.fits["reinforce-baseline"].ll_per_trial - static
        )
        assert f"<td>{row.id}</td>" in page
