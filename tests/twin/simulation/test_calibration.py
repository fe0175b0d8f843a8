"""Calibration: a known population is found again, from the same draws whatever the interruption."""

from __future__ import annotations

import pytest

from twin.cohort import Cohort
from twin.evaluation.statistics.registry import values_of
from twin.evaluation.statistics.targets import Target
from twin.simulation.calibration import Candidate, Problem, Searched, best, finalists, near_best, search
from twin.simulation.statistics import simulate_mice

VARIED = {"distribution": "lognormal", "median": 0.02, "sigma": 0.5}
BOX = {
    "engaged": Searched(of=("engaged_trials",), low=200, high=700),
    "no_go": Searched(of=("no_go",), low=0.001, high=0.1, scale="log"),
}


def problem(mice=8):
    parameters = {"rate": VARIED, "engaged_trials": 450, "no_go": 0.01}
    cohort = Cohort(mice=mice, parameters=parameters)
    return Problem(cohort, BOX, "ibl-2019", horizon=2, biased_sessions=0, seed=1, engine="serial", workers=1)


TRUE = {"engaged": 320.0, "no_go": 0.03}
SD = {"trials_per_session": 10.0, "no_go": 0.002}


def targets():
    cohort = problem().population(TRUE).model_copy(update={"mice": 40})
    values = values_of(simulate_mice(cohort, "ibl-2019", horizon=2, biased_sessions=0, seed=77, workers=1))
    return {name: Target(mean=values[name], sd=sd) for name, sd in SD.items()}


def test_a_known_population_is_found():
    wanted = targets()
    tried = list(search(problem(16), wanted, generations=9, candidates=8, seed=3))
    assert len(tried) == 72
    found = problem().values(best(tried, wanted).place)
    assert found["engaged"] == pytest.approx(TRUE["engaged"], rel=0.1)
    assert found["no_go"] == pytest.approx(TRUE["no_go"], rel=0.3)
    assert best(tried, wanted) in near_best(tried, wanted)


def test_a_search_depends_on_its_seed_alone_and_goes_on():
    wanted = targets()
    whole = list(search(problem(), wanted, 2, 4, seed=3))
    assert list(search(problem(), wanted, 2, 4, seed=3)) == whole
    assert next(search(problem(), wanted, 2, 4, seed=4)) != whole[0]

    class Counted(Problem):
        asked = 0

        def statistics(self, place):
            Counted.asked += 1
            return super().statistics(place)

    again = Counted(**vars(problem()))
    assert list(search(again, wanted, 2, 4, seed=3, known=whole[:5])) == whole
    assert Counted.asked == 3
    assert next(search(again, wanted, 2, 4, seed=4, known=whole)) != whole[0]


def test_common_random_numbers():
    at = [0.3, 0.5]
    assert problem().statistics(at) == problem().statistics(at)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_places_and_values(scale):
    one = Searched(of=("no_go",), low=0.01, high=0.1, scale=scale)
    assert [one.value(0), one.value(1)] == pytest.approx([0.01, 0.1])
    assert one.place(one.value(0.3)) == pytest.approx(0.3)
    assert (one.place(0.001), one.place(5.0)) == (0, 1)


def test_one_number_of_several_places():
    box = {"lapse": Searched(of=("lapse_low", "lapse_high"), low=0.0, high=0.2)}
    both = Problem(Cohort(mice=2, parameters={"lapse_low": 0.0, "lapse_high": 0.1}), box, "ibl-2019", 3, 0, 1)
    assert both.start() == [0]
    assert both.population({"lapse": 0.05}).parameters == {"lapse_low": 0.05, "lapse_high": 0.05}


def test_finalists_are_the_middle_of_the_best_quarter_and_the_best():
    wanted = {"reach": Target(mean=0.5, sd=0.1)}
    tried = [Candidate([0.1 * i, 0.0], {"reach": 0.1 * i}) for i in range(10)]
    middle, first, second = finalists(tried, wanted, 3)
    assert middle == pytest.approx([(0.5 + 0.4) / 2, 0]) or middle == pytest.approx([(0.5 + 0.6) / 2, 0])
    assert first == [0.5, 0.0]
    assert second in ([0.4, 0.0], [0.6000000000000001, 0.0])
