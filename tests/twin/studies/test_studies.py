"""What holds for every kind of study: it is found, its folder is whole, its results are declared and are kept."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys

import pytest
from pydantic import ValidationError
from rollouts import rollout

import twin.studies
from twin.cli import main
from twin.evaluation.performance import behavior
from twin.studies import kinds
from twin.studies.results import BehaviorResults, Record, Spread
from twin.studies.run import run
from twin.studies.scenario import load
from twin.studies.study import Options

KINDS = sorted(kinds())
NEW_KIND = """
from typing import ClassVar

from pydantic import Field

from twin.report import page
from twin.report.shown import Shown
from twin.studies.cohort import CohortStudy
from twin.studies.results import Results
from twin.studies.study import Done, Study


class CountResults(Results):
    squares: int = Field(description="square of the number")

    def summary(self):
        return f"{self.squares} squares"


class CountStudy(Study):
    kind: ClassVar[str] = "count"
    number: int

    def carry_out(self, folder, options):
        results = CountResults(squares=self.number**2, mice=0, trials=0, **self.head(folder))
        sections = [("Squares", results.summary())]
        shown = Shown(results.table())
        return Done(results, lambda: page.write(folder.path, results.scenario, sections, results.facts(), shown))
"""


@pytest.fixture
def another_file(tmp_path, monkeypatch):
    """Adds a file to the package of studies."""
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(twin.studies, "__path__", [*twin.studies.__path__, str(folder)])
    kinds.cache_clear()
    yield lambda name, text: (folder / f"{name}.py").write_text(text)
    for name in ("count", "again"):
        sys.modules.pop(f"twin.studies.{name}", None)
    kinds.cache_clear()


def test_kinds_are_listed_without_torch_and_matplotlib():
    code = "import sys; from twin.studies import kinds; print(*sorted(kinds()), {'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "baselines",
        "calibration",
        "cohort",
        "designs",
        "fingerprint",
        "fit",
        "optimize",
        "recovery",
        "twin",
        "set()",
    ]


def test_a_kind_is_one_file(another_file, tmp_path, capsys):
    another_file("count", NEW_KIND)
    (tmp_path / "c.toml").write_text('kind = "count"\nname = "c"\nnumber = 7\n')
    assert main(["run", str(tmp_path / "c.toml"), "--out", str(tmp_path / "run")]) == 0
    assert "49 squares" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/results.json").read_text())["squares"] == 49
    assert "49 squares" in (tmp_path / "run/report.html").read_text()


def test_two_files_of_one_kind_are_refused(another_file):
    another_file("count", NEW_KIND)
    another_file("again", NEW_KIND)
    with pytest.raises(ValueError, match=r"kind 'count' is defined twice, in twin.studies.(count|again) and in twin.studies"):
        kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_the_file_and_have_no_nan(finished, kind):
    _, folder, results = finished(kind)

    def refuse(constant):
        raise AssertionError(constant)

    stored = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    assert stored == results.table()
    assert type(results).model_validate(stored) == results
    assert list(stored)[:5] == ["kind", "scenario", "seed", "versions", "seconds"]
    assert (stored["kind"], stored["scenario"], stored["seed"]) == (kind, f"small-{kind}", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_folder_is_whole_and_its_scenario_is_the_study(finished, kind):
    study, folder, _ = finished(kind)
    assert load(folder / "scenario.toml") == study
    assert not list(folder.rglob("*.tmp"))
    assert "done in" in (folder / "log.txt").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_page_shows_the_figures_that_are_kept(finished, kind):
    folder = finished(kind).folder
    page = (folder / "report.html").read_text()
    shown = {base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)}
    assert shown == {file.read_bytes() for file in (folder / "figures").iterdir()}
    assert shown


@pytest.mark.parametrize("kind", KINDS)
def test_running_again_makes_nothing_again(copied, kind):
    study, folder, results = copied(kind)
    kept = [p for p in folder.rglob("*") if p.suffix in (".h5", ".npz", ".safetensors") or ("fits" in p.parts and p.is_file())]
    before = {path: path.stat().st_mtime_ns for path in kept}
    (folder / "results.json").unlink()
    again = run(study, folder)
    assert before == {path: path.stat().st_mtime_ns for path in kept}
    assert before
    assert again.table() | {"seconds": 0} == results.table() | {"seconds": 0}
    assert json.loads((folder / "results.json").read_text()) == again.table()


def test_every_result_has_its_meaning():
    declared, waiting = set(), [Record]
    while waiting:
        table = waiting.pop()
        declared.add(table)
        waiting += table.__subclasses__()
    assert len(declared) > 20
    for table in declared:
        for name, field in table.model_fields.items():
            assert field.description, f"{table.__name__}.{name}"


def test_what_is_not_defined_is_null():
    spread = Spread(mean=float("nan"), sd=float("inf"))
    assert spread.model_dump() == {"mean": None, "sd": None}
    with pytest.raises(ValidationError, match="medain"):
        Spread(mean=1.0, sd=1.0, medain=2.0)


def declared_tables():
    declared, waiting = set(), [Record]
    while waiting:
        table = waiting.pop()
        declared.add(table)
        waiting += table.__subclasses__()
    return sorted(declared, key=lambda table: table.__name__)


def test_every_null_has_its_reason():
    """A key that may be null says when in its description, or has a `reason` beside it that says why."""
    for table in declared_tables():
        for name, field in table.model_fields.items():
            nullable = "None" in str(field.annotation) or any("BeforeValidator" in str(m) for m in field.metadata)
            if nullable and name != "reason":
                told = "null" in field.description or "null" in (table.__doc__ or "")
                assert told, f"{table.__name__}.{name}: {field.description}"


def behaved(data):
    class Behaved(BehaviorResults):
        pass

    head = {"kind": "k", "scenario": "s", "seed": 1, "versions": {}, "seconds": 1.0}
    return Behaved(**head, **behavior(data))


def test_summary_of_mice_without_a_curve():
    results = behaved(rollout(mice=1, sessions=2, contrasts=(-0.25, 0.25)))
    assert "no rising curve: 2 of the 4 contrasts that a fit needs" in results.summary()
    assert results.psychometric is None
    several = behaved(rollout(mice=2, sessions=2))
    assert "choices of all 2 mice pooled: threshold" in several.summary()
    assert "choices of all 2 mice pooled" in several.facts()["Psychometric curve, last three sessions"]


def test_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="unknown engine 'thread'; did you mean 'threads'"):
        Options(engine="thread")
