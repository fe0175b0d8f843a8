"""The tables of a scenario that say how long mice are trained, and under which protocols."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from envs.protocols import Protocol, protocol_table
from twin.evaluation.status import PATIENCE
from twin.evaluation.targets import FURTHEST, find_target


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


NamedProtocol = Annotated[Protocol, BeforeValidator(protocol_table)]


def _next_protocol(value: Any) -> Any:
    """A name alone stands for the protocol of that name."""
    return {"protocol": value} if isinstance(value, str) else value


class NextProtocol(Table):
    """What follows for the mice that reached their status: another protocol, until the furthest status it leads to."""

    protocol: NamedProtocol
    until: str = ""
    horizon: int = Field(PATIENCE, ge=1, description="sessions, at most")

    @model_validator(mode="before")
    @classmethod
    def _furthest(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "until" in table:
            return table
        try:
            tasks = Protocol(**protocol_table(table["protocol"])).tasks
        except (KeyError, TypeError, ValidationError):
            return table  # what is wrong with the protocol is said when it is read
        return table | {"until": max(FURTHEST[task] for task in tasks).label}

    @model_validator(mode="after")
    def _known(self) -> Self:
        find_target(self.until, self.protocol)
        return self


class RunLength(Table):
    """How long each mouse is trained: a number of trials or sessions, or until a training status."""

    trials: int | None = Field(None, ge=1)
    sessions: int | None = Field(None, ge=1)
    until: str | None = Field(None, description="training status at which a mouse stops, or goes on with `then`")
    horizon: int | None = Field(None, ge=1, description="with until: sessions, at most")
    then: tuple[Annotated[NextProtocol, BeforeValidator(_next_protocol)], ...] = Field((), description="protocols that follow")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(length is not None for length in (self.trials, self.sessions, self.until)) != 1:
            raise ValueError("give exactly one of `trials`, `sessions` and `until`")
        if (self.until is None) != (self.horizon is None):
            raise ValueError(f"`until` and `horizon` go together: until = {self.until!r}, horizon = {self.horizon}")
        if self.then and self.until is None:
            raise ValueError("`then` needs `until`, the status from which on it begins")
        return self


class ToStatus(Table):
    """Training to a status."""

    until: str
    horizon: int = Field(ge=1, description="sessions, at most")


def check_target(until: str, protocol: Protocol, where: str = "") -> None:
    """Raise ValueError, naming the key, unless the protocol can lead to the status."""
    try:
        find_target(until, protocol)
    except ValueError as error:
        raise ValueError(f"{where}run.until: {error}") from None
