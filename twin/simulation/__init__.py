"""Cohorts in training: the compiled loops, a simulation that can be stopped and go on, training until a status."""

from twin.simulation.recorded import state_after
from twin.simulation.simulation import Driver, Simulation, simulate
from twin.simulation.state import CohortState, begin_session, move_mice

__all__ = ["CohortState", "Driver", "Simulation", "begin_session", "move_mice", "simulate", "state_after"]
