"""Kind `fit`: predictions of recorded choices, and where the data are looked for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from twin.cli import main
from twin.data import formats
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.studies.run import run
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
        found = results.models[name]
        assert (found.heldout_ll_per_trial, found.heldout_se) == (kept["heldout_ll_per_trial"], kept["heldout_se"])
        assert found.update_se == kept.get("update_se")
    chance = results.models["chance"]
    assert (chance.heldout_ll_per_trial, chance.heldout_se) == (-math.log(2), None)
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


MICE = """subject,session,date,contrast_left,contrast_right,choice,correct,probability_left
"""


def table_of(mice: dict[str, int]) -> str:
    """A csv of mice that see one side or the other, and go right more and more; so many trials each."""
    rows = [
        f"{mouse},1,2020-01-0{1 + t // 40},{'' if t % 2 else 1.0},{1.0 if t % 2 else ''},{c},{int((c > 0) == t % 2)},0.5"
        for m, (mouse, trials) in enumerate(mice.items())
        for t in range(trials)
        for c in [1 if (t * 7 + t * t * (m + 1)) % 11 < 5 + t // 20 else -1]
    ]
    return MICE + "\n".join(rows) + "\n"


def fitted(tmp_path, *more: str) -> tuple[int, dict, list[str]]:
    """The exit status of `twin fit` of mice.csv, its models' results, and the lines of the log that it added."""
    out, log = tmp_path / "run", tmp_path / "run" / "log.txt"
    before = len(log.read_text().splitlines()) if log.exists() else 0
    status = main(["fit", str(tmp_path / "mice.csv"), "--folds", "2", "--out", str(out), *more])
    lines = [line.split(" ", 1)[1] for line in log.read_text().splitlines()[before:]]
    return status, json.loads((out / "results.json").read_text())["models"], lines


GLM = ("--model", "static-glm")


@pytest.fixture
def undrawn(monkeypatch):
    """Studies draw nothing, which takes most of their time."""
    monkeypatch.setattr("twin.report.page.write", lambda *page: None)


@pytest.mark.parametrize(
    ("mice", "said"),
    [
        ({"a": 40, "b": 40}, "random-walk: every mouse has one session, so noise of nights is not fitted"),
        ({"a": 40, "b": 80}, "random-walk: mouse 'a' has one session, so its noise of nights is as of any mouse"),
    ],
    ids=["all", "one"],
)
def test_noise_of_nights_of_mice_of_one_session(mice, said, tmp_path, undrawn):
    (tmp_path / "mice.csv").write_text(table_of(mice))
    assert main(["fit", str(tmp_path / "mice.csv"), "--model", "random-walk", "--out", str(tmp_path / "run")]) == 0
    notes = json.loads((tmp_path / "run/results.json").read_text())["notes"]
    assert [note for note in notes if "nights" in note] == [said]


@pytest.mark.parametrize(
    "changed", [{"a": 80}, {"a": 80, "b": 80, "c": 80}, {"a": 120, "b": 80}], ids=["fewer", "more", "longer"]
)
def test_other_mice_in_the_same_file_are_fitted_again(changed, tmp_path, undrawn):
    changed = {"z": 80} | changed
    (tmp_path / "mice.csv").write_text(table_of({"a": 80, "b": 80, "z": 80}))
    assert fitted(tmp_path, *GLM)[0] == 0
    (tmp_path / "mice.csv").write_text(table_of(changed))
    status, found, log = fitted(tmp_path, *GLM)
    assert status == 0
    assert "fits/static-glm/card.json: made again: it is of other data" in log
    assert "fits/static-glm/held_out.json: made again: it is of other data" in log
    fit = load_fit(tmp_path / "run/fits/static-glm")
    assert set(fit.ids) == {*changed}
    trials = Trials.from_rollout(formats.read(tmp_path / "mice.csv"))
    expected = fit.log_likelihood(trials).sum() / trials.mask.sum()
    assert found["static-glm"]["train_ll_per_trial"] == pytest.approx(expected)
    assert expected > math.log(0.5)


def test_another_model_in_a_finished_folder_is_all_that_is_fitted(tmp_path, capsys, undrawn):
    (tmp_path / "mice.csv").write_text(table_of({"a": 80, "b": 80}))
    assert fitted(tmp_path, *GLM)[0] == 0
    kept = tmp_path / "run/fits/static-glm/card.json"
    before = kept.stat().st_mtime_ns
    settings = ("--set", "reinforce.fixed.rate=0.1")
    status, found, log = fitted(tmp_path, *GLM, "--model", "reinforce", *settings)
    assert status == 0
    assert {"static-glm", "reinforce"} <= set(found)
    assert [line.split(":")[0] for line in log if "made" in line] == [f"fits/reinforce/{n}.json" for n in ("card", "held_out")]
    assert kept.stat().st_mtime_ns == before
    status, found, log = fitted(tmp_path, "--model", "reinforce", *settings)
    assert status == 0
    assert not [line for line in log if "made" in line]
    assert fitted(tmp_path, "--model", "reinforce", "--set", "reinforce.fixed.rate=0.2")[0] == 2
    assert "holds the run of another scenario" in capsys.readouterr().err
    assert fitted(tmp_path, *GLM, "--features", "stimulus")[0] == 2


def test_settings_that_changed_on_the_way_are_fitted_again(tmp_path, undrawn):
    """Asked for with other settings, after a run without the model: the fit that is there is not what is asked for."""
    (tmp_path / "mice.csv").write_text(table_of({"a": 80, "b": 80}))
    fitted(tmp_path, "--model", "reinforce")
    fitted(tmp_path, *GLM)
    _, _, log = fitted(tmp_path, "--model", "reinforce", "--set", "reinforce.fixed.rate=0.2")
    for name in ("card", "held_out"):
        assert f"fits/reinforce/{name}.json: made again: it is of another model or other settings" in log
    assert (load_fit(tmp_path / "run/fits/reinforce").theta[:, 0] == 0.2).all()


BROKEN = ["", "[]", "{", '{"scores": {}}', "\xff", '{"data_hash": "", "asked": {}, "scores": {"x": null}}']


@pytest.mark.parametrize("name", ["card.json", "held_out.json"])
def test_unreadable_part_of_a_fit_is_made_again(name, copied, undrawn):
    study, folder, results = copied("fit")
    path = folder / "fits/static-glm" / name
    for broken in BROKEN:
        path.write_text(broken, encoding="latin-1")
        again = run(study, folder)
        assert again.models["static-glm"].heldout_ll_per_trial == results.models["static-glm"].heldout_ll_per_trial
        assert f"fits/static-glm/{name}: made again: {path}: " in (folder / "log.txt").read_text()


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


CASES = Path(__file__).parents[1] / "data" / "cases"
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
    said = "mouse 'm3' made no choice in 120 trials, or none whose reward is known; it is left out of the fits"
    assert capsys.readouterr().out.count(f"note: {said}") == 1
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["notes"] == [said]
    one, three = results["mice_table"]
    assert set(one["fits"]) == {"static-glm", "reinforce"} and "fits" not in three
    assert load_fit(tmp_path / "run/fits/reinforce").ids == ("m1",)
    nobody = table_of_mice(tmp_path / "nobody.csv", {"m3": (False, 0.0)})
    assert main(["fit", str(nobody), "--model", "reinforce", "--out", str(tmp_path / "none")]) == 2
    assert "none of its 1 mice made a choice; there is nothing to fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "made_of_it"),
    [("rows_shuffled", "sorted by date and session and trial"), ("few_columns", "zero contrast have an unknown reward")],
)
def test_what_was_made_of_a_table_is_in_results_and_page(table, made_of_it, tmp_path, capsys):
    assert main(["fit", str(CASES / f"{table}.csv"), "--model", "static-glm", "--out", str(tmp_path / "run")]) == 0
    results, page = json.loads((tmp_path / "run/results.json").read_text()), (tmp_path / "run/report.html").read_text()
    printed = capsys.readouterr()
    for told in ("; ".join(results["notes"]), page, printed.out, printed.err):
        assert made_of_it in told


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
