"""Training status of recorded mice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from release_2019 import selected
from rollouts import rollout

from twin.data.formats import read
from twin.evaluation.status import Status
from twin.evaluation.status_times import times_to_status, with_status
from twin.studies.training import with_recorded_status


def test_a_real_mouse_is_trained_on_the_fourteenth_day(real_mouse):
    """Its record has no response times, without which 1b is not reached."""
    mouse, notes = with_recorded_status(read(real_mouse))
    assert mouse.of_session["status"].tolist() == [Status.IN_TRAINING] * 13 + [Status.TRAINED_1A] * 2
    assert times_to_status(mouse)["sessions_to_status"]["trained_1a"]["median"] == 14
    assert notes == ["without response times no mouse is trained_1b, and none ready4ephysrig"]


def test_it_is_that_of_the_same_mice_simulated(small):
    """Recorded mice are told from their trials alone what simulated ones are told from their protocol."""
    recorded = replace(small[1], origin={}, of_session={})
    assert (with_recorded_status(recorded)[0].of_session["status"] == with_status(small[1]).of_session["status"]).all()


def test_sessions_in_blocks_are_of_the_biased_task(small):
    mice = small[1].select([0])
    blocks = replace(
        mice, columns=dict(mice.columns) | {"probability_left": np.full(len(mice), 0.8, np.float32)}, of_session={}, origin={}
    )
    n = len(mice.sessions.start)
    status, notes = with_recorded_status(blocks)
    assert notes == [f"{n} sessions are taken for biasedChoiceWorld, since most of their trials are in blocks"]
    told = replace(blocks, of_session={"task": np.full(n, 3, np.int8)})
    assert with_recorded_status(told)[0].of_session["status"].tolist() == [Status.HABITUATION] * n
    assert with_recorded_status(status) == (status, [])


@pytest.mark.parametrize(("sessions", "expected"), [(29, (0, 0, 0)), (31, (1, 30, 30 * 4))])
def test_the_selection_of_published_mice(sessions, expected):
    """31 sessions of which one has ten trials without a choice; 4 of 12 trials are outside of the biased blocks."""
    mice = rollout(mice=1, sessions=sessions, trials=12)
    blocks = np.tile(np.repeat(np.array([0.5, 0.2, 0.8], np.float32), 4), sessions)
    choice = mice.choice.copy()
    if sessions > 30:
        blocks[:10], blocks[10:12] = 0.5, (0.2, 0.8)
        choice[:10] = -1
    else:
        choice[:] = 1
    choice[12:] = np.abs(choice[12:])
    assert selected(replace(mice, columns=dict(mice.columns) | {"probability_left": blocks, "choice": choice})) == expected
