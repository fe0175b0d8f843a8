"""Kind `designs`: the same mice under each design, what is kept of them, and scenarios that are refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from fits import altered, fit_of_rule

from twin.data.store import read_rollout
from twin.evaluation.designs import COSTS, DesignSessions
from twin.studies.columns import read_columns, write_columns
from twin.studies.designs import _by_design, differences
from twin.studies.run import run
from twin.studies.scenario import ScenarioError, parse

TABLE = {
    "kind": "designs",
    "name": "small",
    "cohort": {"mice": 2},
    "run": {"until": "trained_1b", "horizon": 5},
    "designs": {"a": {"base": "ibl-2019"}, "b": {"base": "ibl-2019"}},
}


def test_results_of_a_run(finished):
    _, folder, results = finished("designs")
    assert (results.mice, results.until, results.horizon) == (6, "trained_1a", 5)
    assert list(results.designs) == ["on", "off", "on-again"]
    for design in results.designs.values():
        assert len(design.survival) == 6
        assert all(a >= b for a, b in pairwise(design.survival))
    assert [(c.a, c.b) for c in results.comparisons] == [("on", "off"), ("on", "on-again"), ("off", "on-again")]
    assert sum(place.probability_best for place in results.ranking) == pytest.approx(1)
    assert {p.name for p in (folder / "figures").iterdir()} == {"survival.png", "differences.png"}
    assert "probability that it needs fewest" in (folder / "report.html").read_text()


def test_design_compared_with_itself_differs_by_zero_in_every_mouse(finished):
    _, folder, results = finished("designs")
    on, again = (np.load(folder / f"designs/{name}.npz") for name in ("on", "on-again"))
    for column in DesignSessions._fields:
        assert (on[column] == again[column]).all()
    (pair,) = [c for c in results.comparisons if (c.a, c.b) == ("on", "on-again")]
    assert (pair.difference, pair.ci95, pair.p_paired, pair.a_faster) == (0, (0, 0), 1, 0)
    assert all(getattr(pair, cost).model_dump() == {"difference": 0, "ci95": (0, 0)} for cost in COSTS[1:])


def test_costs_are_those_of_the_sessions_that_are_kept(finished):
    _, folder, results = finished("designs")
    for name, design in results.designs.items():
        days = read_columns(DesignSessions, "the sessions of a design", folder / f"designs/{name}.npz")
        sessions = np.diff(days.starts)  # a mouse stops at the status or at the horizon
        assert design.mean_sessions == pytest.approx(sessions.mean())
        assert design.water_ul == pytest.approx(days.water_ul.sum() / 6)
        assert design.hours == pytest.approx(days.duration_s.sum() / 6 / 3600)
    assert results.trials == sum(
        read_columns(DesignSessions, "the sessions of a design", path).trials.sum() for path in (folder / "designs").iterdir()
    )


def test_run_again_trains_only_under_what_is_missing(copied):
    study, folder, results = copied("designs")
    kept = (folder / "designs/on.npz").stat().st_mtime_ns
    (folder / "designs/off.npz").unlink()
    (folder / "designs/on-again.npz").write_bytes((folder / "designs/on.npz").read_bytes()[:100])
    again = run(study, folder)
    assert again.table() | {"seconds": 0} == results.table() | {"seconds": 0}
    assert (folder / "designs/on.npz").stat().st_mtime_ns == kept
    log = (folder / "log.txt").read_text()
    assert [log.count(f"designs/{name}.npz: made in") for name in ("on", "off", "on-again")] == [1, 2, 2]
    assert "designs/on-again.npz: made again" in log


def test_mice_of_another_fit_are_trained_again(tmp_path):
    """The rule is the folder of a fit: what was simulated is bound to its content, not to its name."""
    done, cohort = fit_of_rule("reinforce", "reinforce"), {"cohort": {"mice": 2, "rule": str(tmp_path / "fit")}}
    trials = {"kind": "cohort", "name": "x", "run": {"trials": 20}, "protocol": {"base": "liu-2025"}}
    parts = {"designs/a.npz": TABLE | {"run": {"until": "trained_1a", "horizon": 2}}, "rollouts.h5": trials}

    def logged(part: str) -> str:
        folder = tmp_path / part.split(".")[0]
        run(parse(parts[part] | cohort, "x"), folder)
        log = (folder / "log.txt").read_text()
        (folder / "log.txt").unlink()
        return log

    done.save(tmp_path / "fit")
    for part in parts:
        assert f"{part}: made in" in logged(part)
        assert "made" not in logged(part)
    altered(done, tmp_path / "fit", theta=(done.theta + 0.01).tolist())
    for part in parts:
        assert f"{part}: made again: its mice are of another fit" in logged(part)
    assert read_rollout(tmp_path / "rollouts/rollouts.h5").theta == pytest.approx(done.theta + 0.01)


def test_summary_tells_the_best_and_how_much_more_the_others_take(finished):
    results = finished("designs").results
    _, first, _, header, *rows = results.summary().splitlines()
    best, *others = [place.design for place in results.ranking]
    assert first.startswith(f"fewest sessions: {best}, first in")
    assert header.split()[:2] == ["design", "trained"]
    assert [row.split()[0] for row in rows] == [best, *others]
    assert rows[0].endswith("best")
    for name, row in zip(others, rows[1:], strict=True):
        more = results.designs[name].mean_sessions - results.designs[best].mean_sessions
        assert f" {more:+.2f} [" in row


def test_what_designs_differ_in_beside_their_stages_is_said():
    stages = [{"contrasts": [1, 0.5], "advance": {"contrasts": [1, 0.5]}}, {"contrasts": [1, 0.5, 0]}]
    designs = {"rig": {"base": "ibl-2019"}, "mine": {"stages": stages}, "short": {"base": "ibl-2019", "session_minutes": 45}}
    study = parse(TABLE | {"designs": designs}, "x.toml")
    found = differences(study.designs)
    assert found["session_minutes"] == {"rig": 90, "mine": 90, "short": 45}
    assert found["adapts"] == {"rig": "2019", "mine": "never", "short": "2019"}
    assert "session_trials" not in found and "name" not in found
    assert _by_design(found["session_minutes"]) == "90 (rig), 90 (mine), 45 (short)"
    assert differences({"a": study.designs["rig"], "b": study.designs["rig"]}) == {}


def test_sessions_are_stored_whole_or_refused(tmp_path):
    days = DesignSessions(
        np.array([0, 2]), np.array([500, 600]), np.array([1, 2], np.int8), np.array([9.5, 8.25]), np.array([60.0, 70.0])
    )
    write_columns(days, tmp_path / "d.npz")
    for stored, given in zip(read_columns(DesignSessions, "the sessions of a design", tmp_path / "d.npz"), days, strict=True):
        assert stored.dtype == given.dtype and (stored == given).all()
    np.savez(tmp_path / "half.npz", starts=days.starts)
    with pytest.raises(ValueError, match=r"half.npz: not the sessions of a design"):
        read_columns(DesignSessions, "the sessions of a design", tmp_path / "half.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"designs": {"a": {"base": "ibl-2019"}}}, "designs: 1 design; give two or more"),
        (
            {"designs": TABLE["designs"] | {"c": {"base": "ibl2019"}}},
            "designs.c: unknown protocol 'ibl2019'; did you mean 'ibl-2019'",
        ),
        (
            {"designs": TABLE["designs"] | {"c": {"base": "ibl-2019", "sesion_trials": 3}}},
            r"unknown key in \[designs.c\]: 'sesion_trials'; did you mean 'session_trials'",
        ),
        (
            {"designs": TABLE["designs"] | {"c": {"base": "ibl-2019", "every_stage": {"debia": False}}}},
            "designs.c: unknown key in every_stage: 'debia'; did you mean 'debias'",
        ),
        (
            {"designs": TABLE["designs"] | {"c": {"base": "ibl-2019", "every_stage": {"advance": {"corect": 4}}}}},
            "unknown key in every_stage.advance: 'corect'; did you mean 'correct'",
        ),
        (
            {"designs": TABLE["designs"] | {"c": {"base": "habituation"}}},
            "designs.c: run.until: status 'trained_1b' cannot be reached: the habituation sessions",
        ),
        ({"run": {"until": "trained_1b"}}, "key 'run.horizon' is missing"),
        ({"run": {"until": "trained", "horizon": 5}}, "run.until: unknown status 'trained'; did you mean 'trained_1"),
    ],
)
def test_wrong_designs_are_refused_by_key(change, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        parse(TABLE | change, "x.toml")
    assert "\n" not in str(caught.value)
