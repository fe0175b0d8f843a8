"""What there is, a line each; a scenario to begin with; and what to do first."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ver"], ["verify"]),
        (["run", "quick"], ["quickstart"]),
        (["fit", "mice.csv", "--model", "reinforce-"], ["reinforce-baseline"]),
        (["fit", "mice.csv", "--fol"], ["--folds"]),
        (["new", "coh"], ["cohort"]),
    ],
)
def test_bash_completes_what_is_begun(words, expected, capsys):
    assert main(["completion", "bash"]) == 0
    typed = " ".join(["twin", *words])
    script = f"{capsys.readouterr().out}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}; _twin; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_zsh_is_told_how_to_read_it(capsys):
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -U +X bashcompinit")


def test_quiet_says_nothing(tiny, tmp_path, capsys):
    assert main(["run", str(tiny), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out == told.err == ""
    assert (tmp_path / "run" / "results.json").is_file()


def test_installed_packages_are_imported_and_one_that_fails_is_named(tmp_path, monkeypatch, capsys):
    package = tmp_path / "own_rules-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-rules\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[behavioral_twin]\nown = own_installed\n")
    rule = "lambda w, eligibility, critic, x, choice, reward, p_right: (w + x, eligibility, critic)"
    (tmp_path / "own_installed.py").write_text(f"import twin\n\ntwin.register_rule('own-installed')({rule})\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert main(["rules"]) == 0
        assert "own-installed" in capsys.readouterr().out
    finally:
        RULES.pop("own-installed", None)
        sys.modules.pop("own_installed", None)
    (tmp_path / "own_installed.py").write_text("1 / 0\n")
    assert main(["rules"]) == 2
    assert "own-rules: its entry point 'own' (own_installed) fails: division by zero" in capsys.readouterr().err
