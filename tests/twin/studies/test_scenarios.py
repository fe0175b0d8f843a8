"""Scenarios: the ones that are shipped, and what is said of wrong ones."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest

import scenarios
from twin.studies.scenario import ScenarioError, load, parse, to_toml

FOLDER = Path(scenarios.__file__).parent
GOOD = {
    "kind": "recovery",
    "name": "q",
    "cohort": {
        "mice": 3,
        "rule": "reinforce-baseline",
        "parameters": {"rate": {"distribution": "lognormal", "median": 0.03, "sigma": 0.3}},
    },
    "protocol": {"base": "ibl-documented"},
    "run": {"trials": 50},
    "inference": {"models": ["dnnglm"], "dnnglm": {"hidden": 3}},
}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda p: p.stem)
def test_shipped_scenarios_are_right_and_round_trip(path):
    study = load(path)
    assert study.name == path.stem
    assert parse(tomllib.loads(to_toml(study)), "again") == study


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("cohort.mouse", 3, r"x.toml: unknown key in \[cohort\]: 'mouse'; did you mean 'mice'"),
        ("cohort.mice", "many", r"cohort.mice: .*valid integer.*given: 'many'"),
        ("cohort.parameters.rate", 3.0, r"parameters.rate: rate = 3 is outside \[0, 1\]"),
        (
            "cohort.parameters.rate",
            {"distribution": "uniform", "low": 0.5, "high": 2},
            r"cohort: parameters.rate: uniform from 0.5 to 2 must rise and stay within \[0, 1\]",
        ),
        ("cohort.parameters.rat", 0.1, "did you mean 'rate'"),
        ("cohort.parameters.rate.distribution", "lognorm", "did you mean 'lognormal'"),
        (
            "cohort.parameters.rate.sd",
            1.0,
            r"unknown key in \[cohort.parameters.rate\]: 'sd'; did you mean 'sigma'\? Known: distribution, median, sigma",
        ),
        ("cohort.parameters.rate", True, r"cohort.parameters.rate: neither a number nor a table .*given: True"),
        ("cohort.rule", "reinforce-baselin", "did you mean 'reinforce-baseline'"),
        ("cohort.features", ["stimulus", "bais"], "did you mean 'bias'"),
        ("protocol.sessiontrials", 3, r"unknown key in \[protocol\]: 'sessiontrials'; did you mean 'session_trials'"),
        ("protocol.base", "ibl-2020", "did you mean 'ibl-2019'"),
        (
            "protocol.stages",
            [{"contrasts": [1.0], "debia": True}],
            r"unknown key in \[protocol.stages.0\]: 'debia'; did you mean 'debias'",
        ),
        ("protocol.stages", [{"contrasts": [1.5]}], r"stages.0: contrasts \(1.5,\) must lie between 0 and 1"),
        ("inference.dnngml", {"hidden": 3}, "did you mean 'dnnglm'"),
        ("inference.dnnglm.hiden", 3, r"unknown key in \[dnnglm\]: 'hiden'; did you mean 'hidden'"),
        ("inference.dnnglm.base_rule", "reinforc", r"dnnglm.base_rule: unknown base rule 'reinforc'; did you mean 'reinforce'"),
        ("inference.dnnglm.hidden", 0, "dnnglm.hidden: .*greater than or equal to 1"),
        ("inference.models", ["dnn"], "unknown model 'dnn'; did you mean 'dnnglm'"),
        ("inference.big", {"model": "dnnlgm"}, "unknown model 'dnnlgm'; did you mean 'dnnglm'"),
        ("inference.big", {"model": "dnnglm", "hiden": 64}, r"unknown key in \[big\]: 'hiden'; did you mean 'hidden'"),
        ("inference.big", {"hidden": 64}, "unknown key 'big'"),
        ("inference.big", 64, "big = 64; expected a table"),
        ("run.sessions", 3, "run: give exactly one of `trials`, `sessions` and `until`"),
        ("run.trials", 0, "run.trials: .*greater than or equal to 1"),
        ("kind", "recover", "unknown kind 'recover'; did you mean 'recovery'"),
        ("seed", -1, "seed: .*greater than or equal to 0"),
    ],
)
def test_wrong_scenario_is_refused_by_file_and_key(where, value, message):
    table = copy.deepcopy(GOOD)
    *path, last = where.split(".")
    inside = table
    for part in path:
        inside = inside[part]
    inside[last] = value
    with pytest.raises(ScenarioError, match=message) as caught:
        parse(table, "x.toml")
    assert str(caught.value).startswith("x.toml: ")
    assert "\n" not in str(caught.value)


def test_missing_table_is_named():
    with pytest.raises(ScenarioError, match="key 'cohort' is missing"):
        parse({k: v for k, v in GOOD.items() if k != "cohort"}, "x.toml")


def test_changes_from_the_command_line():
    study = load(FOLDER / "quickstart.toml", ["cohort.mice=7", "protocol.base=constant", "cohort.parameters.rate=0.5"])
    assert study.cohort.mice == 7
    assert study.protocol.name == "constant"
    assert study.cohort.parameters["rate"] == 0.5
    with pytest.raises(ScenarioError, match=r"expected key.path=value"):
        load(FOLDER / "quickstart.toml", ["cohort.mice"])
    with pytest.raises(ScenarioError, match="'seed' is a value, not a table"):
        load(FOLDER / "quickstart.toml", ["seed.mice=1"])


def test_file_that_is_not_there_or_not_toml(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such scenario; did you mean .*quickstart.toml"):
        load(FOLDER / "quikstart.toml")
    (tmp_path / "bad.toml").write_text("kind = ")
    with pytest.raises(ScenarioError, match=r"bad.toml: not valid TOML"):
        load(tmp_path / "bad.toml")
