"""Cohorts in training: the compiled loops, a simulation that can be stopped and go on, training until a status."""

from twin.simulation.simulation import Driver, Simulation, progress_bar, simulate

__all__ = ["Driver", "Simulation", "progress_bar", "simulate"]
