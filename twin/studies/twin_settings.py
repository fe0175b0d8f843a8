"""Tables of a scenario of kind `twin`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from envs.table import Table


def named_designs(designs: Any) -> Any:
    """Tables of designs, each protocol named like its design unless it has a name of its own."""
    if not isinstance(designs, dict):
        return designs
    return {name: {"name": name} | table if isinstance(table, dict) else table for name, table in designs.items()}


class ForecastLength(Table):
    """How far twins go, and how many."""

    sessions: int = Field(20, ge=1, description="sessions that are forecast")
    twins: int = Field(200, ge=2, description="twins; as many as the posterior has draws, at most")


class BackTest(Table):
    """Forecasts from earlier points of the record, scored on what followed."""

    at: tuple[int, ...] | None = Field(None, description="trials; default: a quarter, half and three quarters of the sessions")
    sessions: int = Field(10, ge=1, description="sessions that are forecast from each")


class ToBest(Table):
    """What designs are compared by: the time to a status."""

    until: str = "trained_1a"
    horizon: int = Field(40, ge=1, description="sessions, at most")
