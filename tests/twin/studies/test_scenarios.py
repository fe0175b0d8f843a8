"""Scenarios: the ones that are shipped, and what is said of wrong ones."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from fuzz.fuzz_scenarios import fuzz

import scenarios
from agents.rules import RULES
from twin.inference.fit import fit, fitter
from twin.studies.scenario import ScenarioError, apply_changes, bundled, load, parse, to_toml

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
        ("inference.models", ["static"], "the fit of the rule without learning is called 'static-glm'"),
        ("inference.models", ["dnnglm", "dnnglm"], "'dnnglm' is there 2 times"),
        ("inference.reinforce", {"population": True}, "reinforce.population is set, but 'reinforce' is not among the models"),
        ("inference", {"models": ["../x"], "../x": {"model": "reinforce"}}, "'../x' names a folder"),
        ("inference", {"models": ["chance"], "chance": {"model": "reinforce"}}, "'chance' stands for something else"),
        ("cohort.rule", "static-glm", "did you mean 'static'"),
        ("cohort.parameters.rate", {"stimulus": {"mean": 0, "sd": 1}}, "key 'cohort.parameters.rate.stimulus|neither a number"),
        ("cohort.parameters.rate", float("nan"), "rate"),
        ("cohort.parameters.rate", {"distribution": "choice", "values": [0.1, 5]}, r"values \[0.1, 5.0\] must all lie within"),
        (
            "cohort.parameters.rate",
            {"distribution": "normal", "mean": 100, "sd": 0.001},
            r"normal of mean 100 and sd 0.001 has nothing within \[0, 1\]",
        ),
        (
            "cohort.parameters.trial_noise",
            1e6,
            r"trial_noise = 1e\+06 is beyond 10 \(weight\), where no mouse behaves any more",
        ),
        (
            "cohort.parameters.initial_weight",
            {"bias": -1e6},
            r"initial_weight.bias: .* beyond -1000 \(logit per feature\), where no mouse behaves",
        ),
        ("cohort.parameters.response_median", 1e6, "response_median: .* beyond 60 .*where no mouse behaves"),
        ("cohort.mice", 10**30, "cohort.mice: a whole number beyond 64 bits"),
        ("name", "..", "name: string should match pattern"),
        ("name", "", "name: string should match pattern"),
        ("name", "x" * 300, "name: string should have at most 100 characters"),
        ("protocol.base", {}, "unknown protocol {}"),
        ("kind", {"cohort": 1}, "unknown kind {'cohort': 1}"),
        ("kind", None, "key 'kind' is missing; expected one of baselines, calibration, cohort"),
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".1", 0.1),
        ("1.", 1.0),
        ("+.5", 0.5),
        ("-.5e-1", -0.05),
        ("1.e3", 1000.0),
        ("True", True),
        ("False", False),
        ("[.1, 1., 'True .5']", [0.1, 1.0, "True .5"]),
        ("{ mean = .1 }", {"mean": 0.1}),
        ("ibl-2019", "ibl-2019"),
        ("v1.", "v1."),
        ("a.b", "a.b"),
        ("1\ny = 2", "1\ny = 2"),
        ('"1."', "1."),
        ("1_000", 1000),
        ("none", "none"),
    ],
)
def test_values_as_they_are_written_elsewhere(text, value):
    table: dict[str, object] = {}
    apply_changes(table, [f"a.x={text}"])
    assert table == {"a": {"x": value}}
    assert type(table["a"]["x"]) is type(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("a=" + "[" * 5000, "nested too deeply"),
        ("a=" + "{a=" * 5000, "nested too deeply"),
        ("a." * 5000 + "a=1", "no key of a scenario lies so deep"),
        ("=1", "expected key.path=value"),
        ("a..b=1", "expected key.path=value"),
        ("x" * 5000, "expected key.path=value"),
    ],
)
def test_wrong_change_is_one_sentence(change, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        apply_changes({}, [change])
    assert len(str(caught.value)) < 300


def test_nested_file_is_one_sentence(tmp_path):
    (tmp_path / "deep.toml").write_text(f"kind = {'[' * 5000}")
    with pytest.raises(ScenarioError, match="nested too deeply"):
        load(tmp_path / "deep.toml")


def test_byte_order_mark_and_other_line_ends_are_read(tmp_path):
    text = (FOLDER / "quickstart.toml").read_text().replace("\n", "\r\n")
    (tmp_path / "quickstart.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(tmp_path / "quickstart.toml") == load(FOLDER / "quickstart.toml")


@pytest.mark.parametrize("name", bundled())
def test_bundled_scenario_by_name(name):
    assert load(name) == load(FOLDER / f"{name}.toml")


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text((FOLDER / "recovery.toml").read_text())
    assert load("quickstart").name == "recovery"
    with pytest.raises(FileNotFoundError, match=r"quikstart: no such scenario; did you mean quickstart\?.*paper/fig2"):
        load("quikstart")


def test_fit_folder_beside_the_scenario(tmp_path, monkeypatch, small):
    fit(small[2].first(50), "reinforce").save(tmp_path / "study" / "fitted")
    monkeypatch.chdir(tmp_path)
    table = GOOD | {"cohort": {"mice": 3, "rule": "fitted"}}
    study = parse(table, "x.toml", tmp_path / "study")
    assert study.cohort.rule == str(tmp_path / "study" / "fitted")
    assert parse(table | {"cohort": {"mice": 3, "rule": "study/fitted"}}, "x.toml", Path("elsewhere")).cohort == study.cohort
    with pytest.raises(ScenarioError, match=r"unknown rule 'fitted'.*no card.json in .*fitted nor in .*else.fitted"):
        parse(table, "x.toml", tmp_path / "else")


def test_rule_registered_later_is_a_model(monkeypatch):
    monkeypatch.setitem(RULES, "mine", replace(RULES["reinforce"], name="mine"))
    assert parse(GOOD | {"inference": {"models": ["mine"]}}, "x.toml").inference.models == ("mine",)
    assert fitter("mine", population=True)


def test_random_scenarios_are_studies_or_one_sentence():
    found = fuzz(80, 2)
    assert sum(found.values()) == 82 and {"study", "ScenarioError"} <= found.keys()
    assert not [outcome for outcome in found if outcome.startswith("FAILED")]


def test_file_that_is_not_there_or_not_toml(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such scenario; did you mean .*quickstart.toml"):
        load(FOLDER / "quikstart.toml")
    (tmp_path / "bad.toml").write_text("kind = ")
    with pytest.raises(ScenarioError, match=r"bad.toml: not valid TOML"):
        load(tmp_path / "bad.toml")
