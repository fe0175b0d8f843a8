"""Which protocol a mouse is in is told by its record, and said where it is not so."""

import numpy as np
import pytest

from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.simulation import simulate
from twin.simulation.until import Phase, simulate_until
from twin.twins.record import recorded_mouse

COHORT = Cohort(mice=2, parameters={"rate": 0.03})


@pytest.fixture(scope="module")
def rollout():
    return simulate(COHORT, "ibl-2019", sessions=4, seed=8)


def as_recorded(rollout: Rollout) -> Rollout:
    """What a file would tell of it."""
    return Rollout({name: rollout.columns[name] for name in list(rollout.columns)[:6]}, rollout.starts, rollout.ids)


@pytest.mark.parametrize("tell", [lambda r: r, as_recorded])
def test_the_record_tells_the_protocol(rollout, tell):
    mouse = recorded_mouse(tell(rollout), "mouse-0001")
    assert (mouse.name, mouse.sessions, mouse.protocol.name) == ("mouse-0001", 4, "ibl-2019")
    assert mouse.rig["trial"][0] == len(mouse.rollout) == mouse.lengths.sum()
    assert not mouse.notes


def test_a_mouse_that_changed_protocols_is_in_the_last():
    """Its rig is that of the sessions under blocks alone, its days count on."""
    rollout = simulate_until(
        Cohort(mice=1, parameters={"rate": 0.2}),
        "ibl-2019",
        until="trained_1a",
        horizon=12,
        then=[Phase("biased", "ready4ephysrig", 2)],
        seed=4,
    )
    assert set(rollout.of_session["protocol"]) == {0, 1}
    mouse = recorded_mouse(rollout)
    assert mouse.protocol.name == "biased"
    assert mouse.rig["session"][0] == mouse.sessions - 1


def test_what_is_said_of_wrong_mice_and_protocols(rollout):
    with pytest.raises(ValueError, match="the record has 2 mice; name the one"):
        recorded_mouse(rollout)
    with pytest.raises(ValueError, match="'mouse-001'; did you mean"):
        recorded_mouse(rollout, "mouse-001")
    with pytest.raises(
        ValueError, match=r"agree with 'biased', 100 % with 'ibl-2019'; .* recorded = 'ibl-2019', protocol = 'biased'"
    ):
        recorded_mouse(rollout, "mouse-0000", "biased")
    told = recorded_mouse(rollout, "mouse-0000", "biased", told=True)
    assert told.protocol.name == "biased" and "in which it is said to be" in told.notes[0]


def test_a_record_of_no_known_protocol_is_refused(rollout):
    shuffled = as_recorded(rollout.select([0]))
    columns = dict(shuffled.columns) | {"contrast": np.random.default_rng(0).permutation(shuffled.contrast) * 0.4}
    with pytest.raises(ValueError, match="and less with every other known protocol; say which one it was in"):
        recorded_mouse(Rollout(columns, shuffled.starts, shuffled.ids))
