"""A search for a design: what is tried, who goes on, what is found where the answer is known, and what is refused."""

import numpy as np
import pytest

from envs.protocols import find_protocol
from twin.evaluation.designs import DesignOutcome, savings
from twin.simulation.design_search import START, Design, DesignSearch, DesignSpace, SearchedSetting, halve

IBL = find_protocol("ibl-2019")
MINUTES = SearchedSetting(of=("session_minutes",), low=30, high=120)
CORRECT = SearchedSetting(of=("every_stage.advance.correct",), low=20, high=45, whole=True)
REPEATS = SearchedSetting(of=("every_stage.debias",), values=(True, False))
SPACE = DesignSpace(IBL, {"minutes": MINUTES, "correct": CORRECT, "repeats": REPEATS})
START_DESIGN = Design(START, {}, IBL)


def outcome(sessions, reached: bool = True) -> DesignOutcome:
    sessions = np.asarray(sessions, float)
    return DesignOutcome(np.full(len(sessions), reached), np.zeros(len(sessions), bool), *[sessions] * 4)


def known_cost(design: Design, cohort: str, mice: int) -> DesignOutcome:
    """Mice need |minutes - 75| / 3 sessions more than 20, and 5 more without repeats; twice as many in the cohort `slow`."""
    protocol = design.protocol
    more = abs(protocol.session_minutes - 75) / 3 + 5 * (not protocol.stages[0].debias)
    return outcome((20 + more + np.arange(mice) % 2) * (2 if cohort == "slow" else 1))


def test_a_known_best_design_is_found():
    tried = SPACE.designs(60, seed=1)
    rounds = halve(tried, START_DESIGN, {"fast": 27, "slow": 9}, DesignSearch(designs=60), known_cost)
    best = {design.name: design for design in tried}[rounds[-1].best[0]]
    assert abs(best.settings["minutes"] - 75) < 4 and best.settings["repeats"]
    assert [len(one.costs) - 1 for one in rounds] == [60, 20, 7]
    assert [one.mice for one in rounds] == [3 + 2, 9 + 3, 27 + 9]
    assert all(one.costs[START] == 1.0 for one in rounds)
    everyone = halve(tried, START_DESIGN, {"fast": 27}, DesignSearch(designs=60, rounds=1), known_cost)
    assert everyone[0].best[0] == best.name  # nothing was thrown away that was better


def test_the_worst_of_several_cohorts_can_count():
    def torn(design: Design, cohort: str, mice: int) -> DesignOutcome:
        """What is good for one cohort is bad for the other; only a middle is bad for none."""
        away = (design.protocol.session_minutes - IBL.session_minutes) / 90
        return outcome(np.full(mice, 20 * (1 + (away if cohort == "a" else -3 * away))))

    space = DesignSpace(IBL, {"minutes": MINUTES})
    by = {
        over: halve(space.designs(40, 2), START_DESIGN, {"a": 9, "b": 9}, DesignSearch(over=over), torn)[-1]
        for over in ("mean", "worst")
    }
    assert by["mean"].costs[by["mean"].best[0]] < 0.9
    assert by["worst"].costs[by["worst"].best[0]] == pytest.approx(1.0, abs=0.02)


def test_settings_reach_their_places():
    design = SPACE.design("d", {"minutes": 45.5, "correct": 33, "repeats": False})
    assert design.protocol.session_minutes == 45.5
    assert {stage.advance.correct for stage in design.protocol.stages if stage.advance and stage.advance.contrasts} == {33}
    assert not any(stage.debias for stage in design.protocol.stages)
    weights = SearchedSetting(of=("stages.5.weights",), values=([1, 1, 1, 1, 1], [2, 1, 1, 1, 1]))
    last = DesignSpace(IBL, {"last": weights}).design("d", {"last": [2, 1, 1, 1, 1]}).protocol.stages[5]
    assert last.probabilities == pytest.approx(np.array([2, 1, 1, 1, 1]) / 6)


def test_designs_fill_the_box_and_depend_on_the_seed_alone():
    first, again, other = (SPACE.designs(64, seed) for seed in (3, 3, 4))
    assert [d.settings for d in first] == [d.settings for d in again] != [d.settings for d in other]
    minutes = [d.settings["minutes"] for d in first]
    assert np.histogram(minutes, 8, (30, 120))[0].min() >= 6
    assert {type(d.settings["correct"]) for d in first} == {int}
    assert sum(d.settings["repeats"] for d in first) == pytest.approx(32, abs=2)


def test_savings_by_hand():
    found = savings(outcome([10, 20, 30]), outcome([5, 10, 15]))["sessions"]
    assert found["saved"] == pytest.approx(0.5)
    assert found["ci95"] == pytest.approx([0.5, 0.5])  # the same in every mouse
    assert savings(outcome([10, 20]), outcome([10, 25]))["sessions"]["saved"] == pytest.approx(-5 / 30)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({}, r"\[search\] is empty; name a setting"),
        ({"x": {"of": ["sesion_minutes"], "low": 1, "high": 2}}, "search.x: at 1.0: .*session_minutes"),
        ({"x": {"of": ["stages.9.debias"], "values": [True, False]}}, "search.x: at True: stages.9.debias: no stage '9'"),
        ({"x": {"of": ["every_stage.advance.corect"], "low": 1, "high": 2}}, "corect.*did you mean 'correct'"),
        ({"x": {"of": ["name.more"], "values": [1, 2]}}, "name.more: expected the path of a setting"),
        ({"x": {"of": ["session_minutes"], "low": -5, "high": 2}}, "search.x: at -5.0"),
    ],
)
def test_what_the_protocol_lacks_is_refused(search, said):
    space = DesignSpace(IBL, {name: SearchedSetting(**table) for name, table in search.items()})
    with pytest.raises(ValueError, match=said):
        space.check()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "give either `values` or both"),
        ({"values": [1]}, "one value is nothing to search"),
        ({"low": 3}, "give both `low` and `high`"),
        ({"low": 3, "high": 2}, "expected low < high"),
        ({"values": [1, 2], "low": 3, "high": 4}, "give either `values` or both"),
    ],
)
def test_what_is_nothing_to_search_is_refused(table, said):
    with pytest.raises(ValueError, match=said):
        SearchedSetting(of=("session_minutes",), **table)


def test_what_no_mouse_reaches_is_said():
    tried = SPACE.designs(4, seed=1)
    with pytest.raises(ValueError, match=r"no mouse reaches the status under any design; give a longer run\.horizon"):
        halve(tried, START_DESIGN, {"c": 9}, DesignSearch(), lambda d, c, m: outcome(np.full(m, 20), reached=False))
    with pytest.raises(ValueError, match="fraction_untrained is 0 under the protocol as it is"):
        halve(tried, START_DESIGN, {"c": 9}, DesignSearch(objective="fraction_untrained"), known_cost)
