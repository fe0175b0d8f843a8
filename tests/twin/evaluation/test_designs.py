"""Designs compared: survival with censoring, paired differences, rankings."""

from __future__ import annotations

import numpy as np
import pytest

from envs import load_protocol
from twin.cohort import Cohort
from twin.evaluation.designs import DesignOutcome, DesignSessions, compare_designs, describe_design
from twin.evaluation.status import Status
from twin.evaluation.survival import logrank_p, median_time, survival
from twin.report.figures.differences import draw_differences
from twin.report.figures.survival import draw_survival
from twin.simulation import designs, simulate
from twin.simulation.designs import train_design


def outcome(sessions, reached=None, horizon=10):
    """An outcome whose other costs follow from the sessions; those at the horizon have not reached the status."""
    sessions = np.asarray(sessions, float)
    reached = sessions < horizon if reached is None else np.asarray(reached)
    return DesignOutcome(reached, np.zeros(len(sessions), bool), sessions, 500 * sessions, 900 * sessions, 0.75 * sessions)


def kaplan_meier(times, reached, grid):
    """By the definition: the product over event times of 1 - events / mice still watched."""
    steps = [(t, 1 - np.sum((times == t) & reached) / np.sum(times >= t)) for t in np.unique(times[reached])]
    return np.array([np.prod([factor for t, factor in steps if t <= g]) for g in grid])


def test_survival_by_hand():
    times, reached = np.array([1.0, 2.0, 2.0, 4.0]), np.array([True, True, False, True])
    assert survival(times, reached, np.arange(5)) == pytest.approx([1, 0.75, 0.5, 0.5, 0])
    assert median_time(times, reached) == 2
    assert median_time(times, np.array([True, False, False, False])) is None
    assert median_time(times, np.zeros(4, bool)) is None


@pytest.mark.parametrize("seed", range(4))
def test_survival_agrees_with_its_definition(seed):
    random = np.random.default_rng(seed)
    times, reached = random.integers(1, 30, 80).astype(float), random.random(80) < 0.6
    assert survival(times, reached, np.arange(31)) == pytest.approx(kaplan_meier(times, reached, np.arange(31)))


def test_survival_has_the_interval_of_a_fraction():
    design = describe_design(outcome([1] * 28 + [3] * 12, horizon=3), 3)
    assert design["survival"] == pytest.approx([1, 0.3, 0.3, 0.3])
    low, high = np.array(design["survival_ci95"])
    z, p, n = 1.959964, 0.3, 40  # Wilson 1927
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert low[1:] == pytest.approx(3 * [(middle - half) / (1 + z**2 / n)])
    assert high[1:] == pytest.approx(3 * [(middle + half) / (1 + z**2 / n)])
    assert (low[0], high[0]) == (pytest.approx(1 / (1 + z**2 / n)), 1)


def test_logrank_knows_equal_empty_and_different_samples():
    a = np.array([3.0, 4, 5, 9, 9, 9]), np.array([True, True, True, False, False, False])
    never = np.full(6, 9.0), np.zeros(6, bool)
    assert logrank_p(a, a) == 1
    assert logrank_p(never, never) is None
    assert 0 < logrank_p(a, never) < 0.1


def test_outcome_counts_to_the_status_or_to_the_horizon():
    status = [Status.IN_TRAINING, Status.TRAINED_1B, Status.IN_TRAINING, Status.IN_TRAINING, Status.UNTRAINABLE]
    ones = np.ones(5)
    trials = np.array([300, 500, 10, 20, 30])
    sessions = DesignSessions(np.array([0, 2, 5]), trials, np.array(status, np.int8), 100 * ones, 3600 * ones)
    result = DesignOutcome.of(sessions, "trained_1b")
    assert result.reached.tolist() == [True, False]
    assert result.untrainable.tolist() == [False, True]
    assert result.costs.tolist() == [[2, 800, 200, 2], [3, 60, 300, 3]]


def test_mean_sessions_is_the_area_under_the_survival_curve():
    random = np.random.default_rng(1)
    one = outcome(random.integers(2, 11, 50))
    design = describe_design(one, 10)
    assert design["mean_sessions"] == pytest.approx(np.sum(design["survival"][:-1]))
    assert design["survival"][-1] == pytest.approx(1 - design["fraction_trained"])


def test_constant_shift_is_found_exactly_and_ranked_with_certainty():
    sessions = np.random.default_rng(2).integers(2, 7, 40)
    results = compare_designs({"slow": outcome(sessions + 2), "fast": outcome(sessions)}, 10)
    (pair,) = results["comparisons"]
    assert (pair["difference"], pair["ci95"]) == (2, [2, 2])
    assert pair["histogram"] == {"difference": [2], "mice": [40]}
    assert pair["trials"] == {"difference": 1000, "ci95": [1000, 1000]}
    assert (pair["a_faster"], pair["b_faster"]) == (0, 1)
    assert [(r["design"], r["probability_best"]) for r in results["ranking"]] == [("fast", 1), ("slow", 0)]


def test_interval_of_a_difference_is_as_wide_as_its_standard_error_says():
    random = np.random.default_rng(3)
    a, b = random.integers(2, 10, 300), random.integers(2, 10, 300)
    (pair,) = compare_designs({"a": outcome(a), "b": outcome(b)}, 10)["comparisons"]
    half = 1.96 * np.std(a - b) / np.sqrt(300)
    assert pair["ci95"] == pytest.approx([np.mean(a - b) - half, np.mean(a - b) + half], abs=0.08 * half)
    assert compare_designs({"a": outcome(a), "b": outcome(b)}, 10)["comparisons"] == [pair]


def test_fewer_than_half_trained_have_no_median():
    design = describe_design(outcome([3, 4, 10, 10, 10]), 10)
    assert (design["fraction_trained"], design["median_sessions"], design["median_trials"]) == (0.4, None, None)


def test_nobody_trained_is_still_a_result():
    results = compare_designs({"a": outcome([10, 10, 10]), "b": outcome([10, 10, 10])}, 10)
    (pair,) = results["comparisons"]
    assert (pair["difference"], pair["p"], pair["p_paired"]) == (0, None, 1)
    assert results["designs"]["a"]["survival"] == [1] * 11
    assert pair["histogram"] == {"difference": [0], "mice": [3]}
    draw_survival(results["designs"], "trained_1b")
    draw_differences(["a", "b"], results["comparisons"], 10)


COHORT = Cohort(mice=5, parameters={"rate": {"distribution": "lognormal", "median": 0.03, "sigma": 0.4}})


def test_groups_and_workers_change_nothing(monkeypatch):
    settings = {"until": "trained_1a", "horizon": 4}
    one = train_design(COHORT, load_protocol("ibl-2019"), **settings)
    monkeypatch.setattr(designs, "MICE_PER_JOB", 2)
    two = train_design(COHORT, load_protocol("ibl-2019"), workers=1, **settings)
    for a, b in zip(one, two, strict=True):
        assert (a == b).all()


def test_designs_that_differ_after_stage_3_give_the_same_trials_until_then():
    table = load_protocol("ibl-documented").table()
    late = [stage | ({"debias": False} if number > 3 else {}) for number, stage in enumerate(table["stages"])]
    a = simulate(COHORT, "ibl-documented", trials=4000)
    b = simulate(COHORT, load_protocol("ibl-documented", stages=late), trials=4000)
    differ = 0
    for m in range(COHORT.mice):
        rows = a.of_mouse(m)
        beyond = np.flatnonzero(a.stage[rows] > 3)
        assert len(beyond)
        common = slice(rows.start, rows.start + int(beyond[0]))
        for name in a.columns:
            assert (a.columns[name][common] == b.columns[name][common]).all()
        assert (a.weights[common] == b.weights[common]).all()
        differ += (a.choice[rows] != b.choice[rows]).any()
    assert differ > 0


def test_figures_tell_what_was_computed():
    sessions = {"a": np.array([3.0, 5, 10, 10]), "b": np.array([2.0, 5, 8, 10]), "c": np.array([4.0, 6, 9, 10])}
    results = compare_designs({name: outcome(values) for name, values in sessions.items()}, 10)
    ax = draw_survival(results["designs"], "trained_1b").axes[0]
    lines = {str(line.get_label()).split("\n")[0]: line for line in ax.lines}
    for name in sessions:
        assert np.asarray(lines[name].get_ydata()) == pytest.approx(results["designs"][name]["survival"])
    ax = draw_differences(list(sessions), results["comparisons"], 10).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "b"]
    texts = [text.get_text() for text in ax.texts]
    assert "50 % faster\n50 % the same\n0 % slower" in texts[0] and texts[0].startswith("mean −0.75 [")
    assert "25 % faster\n25 % the same\n50 % slower" in texts[1]
    bars = {(round(bar.get_x() + bar.get_width() / 2), round(bar.get_y())): bar.get_height() for bar in ax.patches}
    assert bars == pytest.approx({(-2, 1): 0.35, (-1, 1): 0.35, (0, 1): 0.7, (-1, 0): 0.35, (0, 0): 0.35, (1, 0): 0.7})


def test_change_of_every_stage_changes_the_stages_that_have_it():
    changed = load_protocol("ibl-documented", every_stage={"debias": False, "advance": {"correct": 45}})
    assert not any(stage.debias for stage in changed.stages)
    assert [stage.advance.correct for stage in changed.stages[:-1]] == [45] * 5
    assert changed.stages[-1].advance is None
    assert changed.stages[1].advance.contrasts == (0.25,)
