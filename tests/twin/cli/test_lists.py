"""What there is, a line each; a scenario to begin with; and what to do first."""

from __future__ import annotations

import tomllib

import pytest

from agents.features import FEATURES
from agents.rules import RULES
from envs.protocols import PROTOCOLS
from twin.cli import main
from twin.evaluation.statistics.registry import statistics
from twin.inference.registry import models
from twin.studies import kinds
from twin.studies.scenario import bundled, parse

LISTS = {
    "models": models,
    "rules": lambda: RULES,
    "features": lambda: FEATURES,
    "protocols": lambda: PROTOCOLS,
    "statistics": statistics,
    "scenarios": bundled,
}


def test_without_arguments_it_says_what_to_do_first(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "twin run quickstart" in told
    for name in LISTS:
        assert name in told


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_a_line_of_words_for_each(name, capsys):
    assert main([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(LISTS[name]())
    assert all(len(line.split()) > 1 and len(line) <= 132 for line in lines)


@pytest.mark.parametrize("kind", kinds())
def test_a_new_scenario_is_one_of_its_kind(kind, capsys):
    assert main(["new", kind]) == 0
    text = capsys.readouterr().out
    study = parse(tomllib.loads(text), "new.toml")
    assert study.kind == kind
    assert "#   seed = 1" in text or "\nseed = " in text


def test_a_new_scenario_of_no_kind(capsys):
    assert main(["new", "cohrt"]) == 2
    assert "unknown kind 'cohrt'; did you mean 'cohort'" in capsys.readouterr().err
