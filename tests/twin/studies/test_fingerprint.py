"""Kinds `fingerprint` and `calibration`: what they say of targets, of recorded mice, and of what was found."""

from __future__ import annotations

import copy
import json

import pytest

import twin
from twin.cohort import Cohort
from twin.evaluation.statistics.fingerprint import bands, inside
from twin.evaluation.statistics.mice import describe_mice
from twin.evaluation.statistics.registry import statistics, values_of
from twin.evaluation.statistics.targets import loss
from twin.simulation.statistics import simulate_mice
from twin.studies.run import run
from twin.studies.scenario import ScenarioError, parse


@pytest.fixture
def study(small_tables):
    """The small study of a kind with another value somewhere."""

    def changed(kind, where, value):
        table = copy.deepcopy({"kind": kind, "name": "x", **small_tables[kind]})
        *path, last = where.split("/")
        at = table
        for key in path:
            at = at[key]
        at[last] = value
        return parse(table, "x.toml")

    return changed


@pytest.mark.parametrize(
    ("kind", "where", "value", "message"),
    [
        ("fingerprint", "targets/reech", {"mean": 0.5, "sd": 0.1}, "unknown statistic 'reech'; did you mean 'reach'"),
        ("fingerprint", "targets/reach", {"mean": 0.5, "sd": 0}, r"targets.reach.sd: .*greater than 0.*given: 0"),
        ("fingerprint", "targets/reach", {"mean": 1.5, "sd": 0.1}, r"targets.reach.mean = 1.5: expected 0 to 1"),
        ("fingerprint", "targets", 3, r"targets: expected a table such as .* or the file of recorded mice \(given: 3"),
        ("fingerprint", "targets", {}, "targets: there are none"),
        ("fingerprint", "protocol", {"base": "habituation"}, "'trained_1a' cannot be reached"),
        ("calibration", "search/rate/of", ["rate.medain"], "search.rate: at 0.001: rate.medain: no 'medain' in .*there is"),
        ("calibration", "search/rate/of", ["rate"], "search.rate: .*expected the path of a number"),
        ("calibration", "search/rate/low", 0.2, r"search.rate: low = 0.2, high = 0.1: expected 0 < low < high on a log scale"),
        ("calibration", "search/engaged/low", -5, "search.engaged: at -5: .*engaged_trials = -5 is outside"),
        ("calibration", "search/engaged/high", -5.0, "low < high"),
        ("calibration", "evaluation/seed", 1, "evaluation.seed = 1 is a seed of the search"),
        ("calibration", "search", {}, "search"),
        ("calibration", "cohort/correlation", {"rate": {"rate": 0.5}}, "rate is paired with itself"),
    ],
)
def test_wrong_scenario_is_one_sentence(study, kind, where, value, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        study(kind, where, value)
    assert str(caught.value).startswith("x.toml: ")
    assert "\n" not in str(caught.value)


def test_statistics_are_those_of_the_same_mice_simulated_again(finished):
    fingerprint, _, results = finished("fingerprint")
    mice = simulate_mice(fingerprint.cohort, fingerprint.protocol, horizon=5, biased_sessions=1, seed=1, workers=1)
    assert list(results.statistics)[:2] == ["reach", "no_go"]
    assert set(results.statistics) == set(statistics())
    for name, value in values_of(mice).items():
        assert results.statistics[name].value == (pytest.approx(value) if value == value else None)
    row = results.statistics["no_go"]
    assert row.deviation == pytest.approx((row.value - 0.0045) / 0.002)
    assert ("reach" in results.missed) == (abs(results.statistics["reach"].deviation) > 2)


def test_a_cohort_lies_inside_its_own_band():
    mice = simulate_mice(Cohort(mice=40, parameters={"rate": 0.02}), horizon=4, biased_sessions=0, workers=1)
    assert inside(mice, mice) >= 0.9
    assert bands(mice.easy)["mice"][0] == 40


def test_recorded_mice_are_targets(study, finished, tmp_path):
    recorded = finished("cohort").folder / "rollouts.h5"
    against = study("fingerprint", "targets", str(recorded))
    results = run(against, tmp_path)
    mice = describe_mice(twin.read(recorded), 5)
    told = [row for row in results.statistics.values() if row.target is not None]
    assert told
    assert all(row.target == row.recorded for row in told)
    assert results.statistics["no_go"].recorded == pytest.approx(values_of(mice)["no_go"])
    assert 0 <= results.inside <= 1
    assert (tmp_path / "figures/fingerprint_learning.png").is_file()


def test_population_found_is_one_that_cohorts_take(finished):
    calibration, folder, results = finished("calibration")
    candidates = [json.loads(line) for line in (folder / "candidates.jsonl").read_text().splitlines()]
    assert len(candidates) == results.candidates == 8
    losses = [loss(one["statistics"], calibration.targets) for one in candidates]
    assert results.loss == pytest.approx(min(losses))
    population = Cohort(mice=2, population=str(folder / "population.toml"))
    assert population.parameters["engaged_trials"] == pytest.approx(results.parameters["engaged"].value)
    for found in results.parameters.values():
        assert found.searched[0] <= found.near[0] <= found.value <= found.near[1] <= found.searched[1]
        assert 0 <= found.spread <= 1


def test_an_interrupted_search_goes_on(copied):
    calibration, folder, results = copied("calibration")
    kept = folder / "candidates.jsonl"
    whole = kept.read_text()
    kept.write_text("".join(whole.splitlines(keepends=True)[:3]))
    assert run(calibration, folder).parameters == results.parameters
    assert kept.read_text() == whole
