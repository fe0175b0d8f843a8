"""What a study of twins says: its verdict on designs, and what is wrong with a mouse, by a sentence."""

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.evaluation.designs import DesignOutcome, compare_designs
from twin.simulation import simulate
from twin.studies.designs import ComparedDesigns
from twin.studies.scenario import ScenarioError, parse
from twin.studies.twin import _about
from twin.studies.twin_results import verdict
from twin.twins.model import TwinModel
from twin.twins.record import recorded_mouse

HORIZON = 20
GOOD = {"kind": "twin", "name": "t", "cohort": {"population": "ibl", "mice": 1}, "sessions": 3}


def compared(**sessions):
    """Designs by the sessions that each of their twins needs, the horizon where it does not get there."""
    days = {name: np.array(each, float) for name, each in sessions.items()}
    outcomes = {name: DesignOutcome(d < HORIZON, d > HORIZON, d, d, d, d) for name, d in days.items()}
    return ComparedDesigns(until="trained_1a", horizon=HORIZON, settings={}, **compare_designs(outcomes, HORIZON))


def test_a_verdict_names_the_best_only_where_it_is_clear():
    some = 8 + np.random.default_rng(0).integers(-3, 4, 60)
    assert verdict(compared(now=some, better=some - 2)).startswith(
        "recommended: better, which needs fewest sessions with 100 %"
    )
    shuffled = np.random.default_rng(1).permutation(some)
    assert verdict(compared(now=some, alike=shuffled, worse=some + 3)).startswith("no clear difference between")
    assert "worse" not in verdict(compared(now=some, alike=shuffled, worse=some + 3))


def test_a_status_that_no_twin_reaches_is_said():
    never = np.full(10, HORIZON)
    assert verdict(compared(a=never, b=never)).startswith("no twin reaches trained_1a within 20 sessions under any design")


@pytest.mark.parametrize(("trials", "told"), [(60, True), (300, False)])
def test_a_short_record_is_said_to_be_one(trials, told):
    rollout = simulate(Cohort(population="ibl", mice=1), "ibl-2019", trials=trials, seed=4)
    mouse = recorded_mouse(rollout)
    notes = _about(mouse, rollout, TwinModel(), mouse.protocol)["notes"]
    assert (
        any("fewer than 100: its twins are nearly those of a mouse of the population 'ibl'" in note for note in notes) == told
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "mouse.csv"}, "give exactly one of `data`"),
        ({"sessions": None}, "sessions = None: how many are simulated"),
        ({"designs": {"as it is": {"base": "biased"}}}, "as it is"),
        ({"designs": {"x": {"base": "ibl-2019", "sesion_trials": 3}}}, "did you mean 'session_trials'"),
        (
            {"designs": {"x": {"base": "ibl-2019"}}, "run": {"until": "ready4ephysrig"}},
            "designs.x: run.until: .* cannot be reached",
        ),
    ],
)
def test_wrong_scenarios_are_refused(change, message):
    table = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(ScenarioError, match=message):
        parse(table, "x.toml")
