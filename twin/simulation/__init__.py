"""Cohorts in training: the compiled loops, a simulation that can be stopped and go on, training until a status."""

from twin.simulation.simulation import Driver, Simulation, simulate
from twin.simulation.state import CohortState

__all__ = ["CohortState", "Driver", "Simulation", "simulate"]
