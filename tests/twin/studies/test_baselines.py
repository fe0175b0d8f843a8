"""Kind `baselines`: variants are the cohort with changes, each in a folder of its own, and what fits say of the baseline."""

from __future__ import annotations

import copy
import tomllib

import numpy as np
import pytest

from twin.data.store import read_rollout
from twin.studies.baselines import BaselinesResults
from twin.studies.run import run
from twin.studies.scenario import ScenarioError, bundled, load, parse

TABLE = tomllib.loads(bundled()["negative_baseline"].read_text())


def test_shipped_scenario_varies_one_cohort():
    study = load("negative_baseline")
    clean, day, lapses, habit = (study.variants[name] for name in ("clean", "day-noise", "lapses", "perseverance"))
    assert [cohort.parameters["baseline"] for cohort in study.variants.values()] == [0.0] * 4 + [-0.3] * 4
    assert {cohort.mice for cohort in study.variants.values()} == {16}
    assert day.parameters["rate"] == clean.parameters["rate"] == study.cohort.parameters["rate"]
    assert set(day.parameters) - set(clean.parameters) == {"day_noise"}
    assert set(lapses.parameters) - set(clean.parameters) == {"lapse_low", "lapse_high"}
    assert set(habit.parameters["initial_weight"]) == {"bias", "previous_choice"}
    assert habit.features == ("stimulus", "bias", "previous_choice")
    assert study.inference.settings("published") == {"population": True, "noise": False}
    assert study.inference.settings("full")["noise"] is True


def test_change_of_the_cohort_reaches_every_variant():
    study = load("negative_baseline", ["cohort.mice=3", "variants.lapses.mice=4"])
    assert [cohort.mice for cohort in study.variants.values()] == [3, 3, 4, 3, 3, 3, 3, 3]


def test_distribution_is_replaced_as_a_whole():
    table = copy.deepcopy(TABLE)
    table["variants"]["clean"] = {"parameters": {"rate": {"distribution": "uniform", "low": 0.01, "high": 0.02}}}
    rate = parse(table, "t").variants["clean"].parameters["rate"]
    assert rate.model_dump() == {"distribution": "uniform", "low": 0.01, "high": 0.02}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": {}}, "variants: "),
        ({"variants": {"clean": {"parameters": {"rat": 0.1}}}}, r"variants.clean: .*did you mean 'rate'"),
        ({"variants": {"clean": {"mouse": 3}}}, r"unknown key in \[variants.clean\]: 'mouse'; did you mean 'mice'"),
        (
            {"cohort": {"rule": "reinforce"}, "variants": {"clean": {}}},
            "variants.clean: mice of the rule 'reinforce' have no baseline",
        ),
        (
            {"cohort": {"parameters": {"rat": 0.1}}},
            r"^t.toml: cohort: .*unknown parameter .*: 'rat'; did you mean 'rate'\?[^;]*$",
        ),
        ({"features": {"fulll": ["bias"]}}, "features: unknown model 'fulll'; did you mean 'full'"),
        (
            {"features": {"full": ["stimulus", "bias", "previous_reward"]}},
            "features of 'full', variants.clean: unknown feature",
        ),
        ({"inference": {"models": ["dnnglm"]}, "features": {}}, "'dnnglm' has no baseline"),
        ({"inference": {"models": ["reinforce"]}, "features": {}}, "'reinforce' has no baseline"),
    ],
)
def test_wrong_variants_and_models_are_refused(change, message):
    with pytest.raises(ScenarioError, match=message):
        parse(TABLE | change, "t.toml")


def test_results_by_variant_and_model(finished):
    _, folder, results = finished("baselines")
    assert isinstance(results, BaselinesResults)
    assert (results.mice, results.trials) == (4, 800)
    assert {name: variant.true for name, variant in results.variants.items()} == {"clean": 0.0, "perseverance": -0.3}
    for name, variant in results.variants.items():
        assert read_rollout(folder / "variants" / name / "rollouts.h5").n_mice == 2
        assert variant.models["published"].features == ["stimulus", "bias"]
        assert variant.models["published"].population is None
        population = variant.models["full"].population
        assert population.low < population.median < population.high
        for found in variant.models.values():
            inside = [low <= variant.true <= high for low, high in found.ci95]
            assert found.covered == np.mean(inside)
            assert found.estimate == pytest.approx(np.median(found.estimates))
    assert results.variants["perseverance"].models["full"].features[-1] == "previous_choice"


def test_page_and_terminal_show_every_fit(finished):
    _, folder, results = finished("baselines")
    assert (folder / "figures/baselines.png").is_file()
    page, text = (folder / "report.html").read_text(), results.summary()
    assert "negative baseline is reported where there is none: by no fit" in text
    assert text.splitlines()[-len(results.warning_lines()) - 4 :][0].split()[:2] == ["clean", "published"]
    for row in results.rows():
        assert all(cell in page for cell in row)


def test_only_what_is_missing_is_made_again(copied):
    study, folder, results = copied("baselines")
    kept = [folder / f"variants/{name}" for name in ("clean/rollouts.h5", "clean/fits/full/card.json")]
    before = [path.stat().st_mtime_ns for path in kept]
    missing = folder / "variants/perseverance/fits/published/card.json"
    missing.unlink()
    again = run(study, folder)
    assert missing.is_file()
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert again.variants["clean"] == results.variants["clean"]


def test_mice_without_noise_have_no_negative_baseline_by_any_fit(tmp_path):
    table = TABLE | {"variants": {"clean": {"mice": 4}}, "run": {"trials": 1000}}
    results = run(parse(table, "t"), tmp_path)
    for found in results.variants["clean"].models.values():
        assert not found.negative
        assert found.below_zero == 0.0
        assert found.estimate > -0.3
