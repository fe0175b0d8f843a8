"""Prediction of mice that a model was not fitted to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import RULES, Layout
from twin.cli import main
from twin.cohort import Cohort
from twin.data.store import write_rollout
from twin.data.trials import Trials
from twin.evaluation.cross_validation import held_out_scores
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit, mixture
from twin.simulation import simulate

ARRAYS = ("x", "choice", "reward", "new_session", "mask", "lengths")


@pytest.fixture(scope="module")
def rollout():
    """Six mice that learn fast; none differs from another."""
    return simulate(Cohort(mice=6, parameters={"rate": 0.15}), trials=500, seed=2)


@pytest.fixture(scope="module")
def varied():
    """Six mice, of which three learn ten times as fast as the others."""
    slow, fast = (simulate(Cohort(mice=3, parameters={"rate": rate}), trials=500, seed=2) for rate in (0.02, 0.2))
    trials = [Trials.from_rollout(rollout) for rollout in (slow, fast)]
    columns = {name: np.concatenate([getattr(part, name) for part in trials]) for name in ARRAYS}
    return Trials(**columns, features=trials[0].features, ids=tuple("abcdef"))


def test_kinds_of_mice_count_by_what_they_gave_to_the_choices_before():
    kinds = np.log([[[0.8, 0.5, 1.0]], [[0.2, 0.9, 1.0]]])
    found = np.exp(mixture(kinds))[0]
    assert found == pytest.approx([0.5, (0.8 * 0.5 + 0.2 * 0.9) / (0.8 + 0.2), 1.0])
    assert found.prod() == pytest.approx((0.8 * 0.5 + 0.2 * 0.9) / 2)


def test_what_no_kind_of_mouse_does_and_what_is_not_known():
    never = np.array([[-1.0, -np.inf, -2.0, -1.0]])
    assert np.array_equal(mixture([never, never]), [[-1.0, -np.inf, 0.0, 0.0]])
    assert mixture([never, np.full((1, 4), -1.0)])[0] == pytest.approx([-1, -1 - np.log(2), -1, -1])
    assert np.isnan(mixture([np.array([[np.nan, -1.0]]), never[:, :2]])).all()


def test_a_new_mouse_is_the_average_over_a_population():
    """Of three mice whose choices are coins, P(right) .2, .5 and .9, whatever they were fitted to."""
    p = np.array([0.2, 0.5, 0.9])
    layout = Layout(RULES["static"], ("bias",))
    theta = np.zeros((3, len(layout.names)))
    theta[:, layout.index("initial_weight.bias")] = np.log(p / (1 - p))[:, None]
    unknown = np.full((*theta.shape, 2), np.nan)
    known = RuleFit(layout, theta, unknown, np.zeros(3), np.ones(3, bool), tuple("abc"), "static-glm")
    choice = np.array([[1, 1, -1, 0]], np.int8)
    mask = choice >= 0
    new = Trials(np.ones((1, 4, 1)), choice, choice, ~mask, mask, np.array([4]), ("bias",), ("new",))
    weights = np.stack([np.ones(3), p, p**2, p**2]) / np.array([3, p.sum(), (p**2).sum(), (p**2).sum()])[:, None]
    expected = [weights[0] @ p, weights[1] @ p, 1.0, weights[3] @ (1 - p)]
    assert np.exp(known.log_likelihood_of_new_mice(new))[0] == pytest.approx(expected)


def test_new_mice_of_other_rates_are_above_chance_and_the_median_mouse(varied):
    """Beside a coin, and beside one mouse that stands for all."""
    scores = {model: held_out_scores(varied, model, 3) for model in ("reinforce", "static-glm")}
    assert np.log(0.5) < scores["static-glm"]["heldout_ll_per_trial"] < scores["reinforce"]["heldout_ll_per_trial"]
    median = []
    for held in np.array_split(np.random.default_rng(0).permutation(6), 3):
        fitted = fit(varied.of_mice(np.setdiff1d(range(6), held)), "reinforce")
        one = np.tile(np.median(fitted.theta, axis=0), (2, 1))
        new = varied.of_mice(held)
        as_median = replace(fitted, theta=one, ids=new.ids)
        median.append(as_median.log_likelihood(new).sum(axis=1) / new.mask.sum(axis=1))
    assert scores["reinforce"]["heldout_ll_per_trial"] >= np.mean(median)


def test_score_by_hand(small):
    trials = small[2]
    found = held_out_scores(trials, "reinforce", 4, seed=0)
    each = []
    for m in range(4):
        rest = [i for i in range(4) if i != m]
        ll = fit(trials.of_mice(rest), "reinforce").log_likelihood_of_new_mice(trials.of_mice([m]))
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
    assert all(np.log(0.5) < results[m]["heldout_ll_per_trial"] < 0 for m in ("static-glm", "reinforce", "dnnglm"))
    assert results["chance"]["heldout_ll_per_trial"] == np.log(0.5)
    score = f"{results['static-glm']['heldout_ll_per_trial']:.4f}"
    printed, page = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert "predicted as the average over the mice that were fitted" in page
    for shown in (printed, page):
        assert "log-lik/trial new mice" in shown and score in shown.replace("\N{MINUS SIGN}", "-")


def test_adaptation_from_the_shell(tmp_path: Path, capsys):
    cohort = Cohort(mice=4, rule="reinforce", parameters={"engaged_trials": 60})
    write_rollout(simulate(cohort, "constant", sessions=3, seed=2), tmp_path / "mice.h5")
    command = ["fit", str(tmp_path / "mice.h5"), "--model", "reinforce", "--adapt"]
    assert main([*command, "1", "--out", str(tmp_path / "none")]) == 2
    assert "adapt = 1: no mice are held out that could adapt; expected folds = 2" in capsys.readouterr().err
    assert main([*command, "3", "--folds", "2", "--out", str(tmp_path / "few")]) == 2
    assert "has 3 sessions; none would be left after the first 3 of them" in capsys.readouterr().err
    assert main([*command, "1", "--folds", "2", "--out", str(tmp_path / "out")]) in (0, None)
    model = json.loads((tmp_path / "out" / "results.json").read_text())["models"]["reinforce"]
    assert model["adapted_ll_per_trial"] != model["unadapted_ll_per_trial"]
    assert model["adapted_gain_se"] > 0
    assert "the same adapted" in capsys.readouterr().out
    assert "which their first sessions told" in (tmp_path / "out" / "report.html").read_text()


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
