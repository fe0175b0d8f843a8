"""A user's own rule, feature, protocol and network: one file of the user's in a scenario, and who may import it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import twin
from agents.features import FEATURES
from agents.neural.registry import NEURAL_RULES
from agents.rules import RULES
from envs.protocols import PROTOCOLS
from twin.cli import main
from twin.studies.scenario import load, parse, to_toml

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (Path(__file__).parents[3] / "docs" / "extending.md").read_text(), re.S)
PYTHON = "\n".join(text for language, text in BLOCKS if language == "python")
[SCENARIO] = [text for language, text in BLOCKS if language == "toml"]
REGISTRIES = (RULES, FEATURES, PROTOCOLS, NEURAL_RULES._own)
OWN = """
import pathlib
import twin

@twin.register_rule("own", twin.Parameter("rate", 0.05, 0.0, 1.0, "weight per trial", "learning rate"))
def update(w, eligibility, critic, x, choice, reward, p_right, rate):
    return w + rate * reward * (choice - p_right) * x, eligibility, critic

@twin.register_feature("own_choice")
def feature(contrast, previous_choice, previous_reward, previous_contrast):
    return previous_choice

protocol = twin.load_protocol("ibl-documented", name="own-protocol", session_trials=300)
neither = 3
pathlib.Path(__file__).with_name("imported").touch()
"""
COHORT = """
kind = "cohort"
name = "own"
[cohort]
mice = 2
rule = "my_rules:update"
features = ["stimulus", "bias", "my_rules:feature"]
[run]
trials = 150
[protocol]
base = "my_rules:protocol"
"""
POPULATION = """
rule = "my_rules:update"
features = ["bias"]
[parameters]
[provenance]
matched = "a"
sources = "b"
search = "c"
limits = "d"
"""


@pytest.fixture(autouse=True)
def forget(monkeypatch, tmp_path):
    """A folder of a user's; what is registered in a test, and its module, is not there after it."""
    before = [dict(registry) for registry in REGISTRIES]
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rules.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(COHORT)
    yield lambda: _forget(before)
    _forget(before)


def _forget(before):
    sys.modules.pop("my_rules", None)
    for registry, kept in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(kept)


def test_what_the_page_shows_runs(tmp_path, capsys):
    """Its blocks are the module that its scenario names, whose mice are simulated and fitted."""
    (tmp_path / "my_rules.py").write_text(PYTHON)
    (tmp_path / "mine.toml").write_text(SCENARIO)
    assert main(["run", "mine.toml", "--out", "out"]) == 0
    assert re.search(r"analytic in w, .*; line \d+ of my_rules.py: `return w \+ 0.1 \* abs\(w\) \* x,", capsys.readouterr().out)
    results = json.loads(Path("out/results.json").read_text())
    assert results["models"]["decaying"]["parameters"]
    assert (tmp_path / "out" / "fits" / "decaying" / "card.json").is_file()


def test_a_name_of_a_module_stands_for_what_it_registers():
    study = load("own.toml")
    assert (study.imports, study.cohort.rule, study.cohort.features[2]) == (("my_rules",), "own", "own_choice")
    assert (study.protocol.name, study.protocol.session_trials) == ("own-protocol", 300)
    Path("again.toml").write_text(to_toml(study))
    assert load("again.toml") == study


def test_own_ones_are_as_those_of_the_package():
    """The update of REINFORCE and the previous choice, written by a user: the same trials on every path, and the same fit."""
    study = load("own.toml")
    features = ("stimulus", "bias", "previous_choice")
    known = twin.Cohort(mice=2, rule="reinforce", features=features, parameters={"rate": 0.05})
    expected = twin.simulate(known, study.protocol, trials=150)
    for engine in ("threads", "processes"):
        found = twin.simulate(study.cohort, study.protocol, trials=150, engine=engine, workers=2)
        assert (found.weights == expected.weights).all() and (found.choice == expected.choice).all()
    own, theirs = (
        twin.fit(twin.Trials.from_rollout(rollout, seen), rule)
        for rollout, seen, rule in ((found, study.cohort.features, "own"), (expected, features, "reinforce"))
    )
    assert (own.theta == theirs.theta).all() and (own.ci95[:, 0] == theirs.ci95[:, 0]).all()


def test_what_is_only_read_imports_nothing(tmp_path, forget, capsys):
    assert main(["run", "own.toml", "--out", "out"]) == 0
    rollout = twin.read("out/rollouts.h5")
    twin.fit(twin.Trials.from_rollout(rollout, ("stimulus", "bias")), "own").save("fit")
    Path("imported").unlink()
    forget()
    with pytest.raises(ValueError, match=r"unknown rule 'own'.* must be registered before"):
        twin.load_fit("fit")
    with pytest.raises(ValueError, match="rule 'my_rules:update': a module is imported only where"):
        twin.Cohort(rule="my_rules:update")
    with pytest.raises(ValueError, match=r"unknown feature 'own_choice'.* must be registered before"):
        twin.read("out/rollouts.h5")
    Path("population.toml").write_text(POPULATION)
    table = {"kind": "cohort", "name": "x", "cohort": {"population": "population.toml"}, "protocol": "ibl-2019"}
    with pytest.raises(ValueError, match="rule 'my_rules:update': a module is imported only where"):
        parse(table | {"run": {"trials": 5}}, "own.toml", tmp_path)
    capsys.readouterr()
    assert main(["report", "out"]) == 2
    assert "imports 'my_rules', which is done only where a scenario is run" in capsys.readouterr().err
    assert not Path("imported").exists()
    assert main(["run", "out/scenario.toml", "--out", "out"]) == 0
    assert Path("imported").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cohort.rule=no_module:update", "own.toml: no module 'no_module' on Python's path, nor in "),
        ("cohort.rule=my_rules:updat", "unknown name in my_rules: 'updat'; did you mean 'update'"),
        ("cohort.rule=my_rules:neither", "my_rules:neither is neither a Protocol nor registered; expected a function under"),
        ("imports=['failing']", "importing 'failing' fails in line 2 of failing.py: division by zero"),
    ],
)
def test_what_cannot_be_imported(change, message):
    Path("failing.py").write_text("x = 0\ny = 1 / x\n")
    with pytest.raises(ValueError, match=message):
        load("own.toml", [change])
