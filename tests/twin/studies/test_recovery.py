"""Kind `recovery`: what it keeps, and that the rule of the mice is found."""

from __future__ import annotations

import numpy as np
import pytest

from twin.data.store import read_rollout
from twin.studies.rules import reading_lines
from twin.studies.run import run


def test_run_leaves_everything(finished):
    folder = finished("recovery").folder
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    figures = ("psychometric", "learning_curve", "weights", "update", "parameters-reinforce-baseline")
    assert {f"figures/{name}.png" for name in figures} <= names
    assert {"scenario.toml", "results.json", "rollouts.h5", "report.html", "log.txt"} <= names
    assert {"fits/dnnglm/model.safetensors", "fits/dnnglm/card.json", "fits/reinforce-baseline/card.json"} <= names


def test_true_likelihood_is_that_of_the_choices(finished):
    _, folder, results = finished("recovery")
    rollout = read_rollout(folder / "rollouts.h5")
    chosen = np.where(rollout.choice == 1, rollout.p_right, 1 - rollout.p_right.astype(float))[rollout.choice >= 0]
    for model in results.models.values():
        assert model.true_nll_per_trial == pytest.approx(-np.log(chosen).mean())


def test_rule_of_the_mice_is_found_by_its_own_fit(finished):
    _, folder, results = finished("recovery")
    model, rollout = results.models["reinforce-baseline"], read_rollout(folder / "rollouts.h5")
    assert model.nll_per_trial < model.true_nll_per_trial  # four parameters of each mouse are fitted to its noise
    rate = model.parameters["rate"]
    assert rate.true == rollout.theta[:, rollout.theta_names.index("rate")].tolist()
    assert np.log(np.array(rate.estimate) / rate.true) == pytest.approx([0] * 3, abs=0.35)
    inside = [low <= true <= high for (low, high), true in zip(rate.ci95, rate.true, strict=True)]
    assert rate.covered == np.mean(inside)
    assert model.r2 > 0.5 > results.models["dnnglm"].r2  # trained for two epochs


def test_only_the_fit_that_is_missing_is_made_again(copied):
    study, folder, results = copied("recovery")
    card = folder / "fits/reinforce-baseline/card.json"
    kept = (folder / "fits/dnnglm/card.json").stat().st_mtime_ns, (folder / "rollouts.h5").stat().st_mtime_ns
    card.unlink()
    again = run(study, folder)
    assert card.is_file()
    assert again.models["dnnglm"] == results.models["dnnglm"]
    assert again.models["reinforce-baseline"].parameters == results.models["reinforce-baseline"].parameters
    assert ((folder / "fits/dnnglm/card.json").stat().st_mtime_ns, (folder / "rollouts.h5").stat().st_mtime_ns) == kept


def test_summary_is_a_table_of_the_models(finished):
    results = finished("recovery").results
    header, *rows = results.summary().splitlines()[3:]
    assert "rel. RMSE grid" in header and "spread" not in header
    assert [row.split()[0] for row in rows[:2]] == ["reinforce-baseline", "dnnglm"]
    assert rows[2:] == [*results.flag_lines(), *reading_lines(results.models)]


def test_rules_are_read_and_their_mice_simulated(finished):
    _, folder, results = finished("recovery")
    assert list(results.models) == ["reinforce-baseline", "dnnglm"]
    for model in results.models.values():
        assert model.reading.reward_effect.low < model.reading.reward_effect.value < model.reading.reward_effect.high
        assert set(model.simulated) == {"learning curve", "psychometric", "repetition"}
        assert 0 < model.never_visited < 1 and model.memory is None
    assert "reward effect" in (folder / "report.html").read_text()
