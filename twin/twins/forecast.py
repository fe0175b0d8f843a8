"""From a record to the forecast of one of its mice, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.engine import Engine
from twin.evaluation.status import Status
from twin.inference.closed_form.rule_fit import RuleFit
from twin.twins.futures import Futures, describe, go_on
from twin.twins.model import TwinModel, fit_others, fit_twins
from twin.twins.posterior import Twins, twins_of
from twin.twins.record import RecordedMouse, recorded_mouse


@dataclass(frozen=True, eq=False)
class Forecast:
    """A mouse, its posterior, its twins, and what they do."""

    mouse: RecordedMouse
    fit: RuleFit
    twins: Twins
    protocol: Protocol  # under which they go on
    futures: Futures

    def __repr__(self) -> str:
        """Whose it is, and how far it goes."""
        twins, sessions = self.futures.accuracy.shape
        return f"<Forecast of {self.mouse.name!r}: {twins} twins, {sessions} sessions under {self.protocol.name!r}>"

    def table(self) -> dict[str, Any]:
        """The forecast as results.json has it."""
        return describe(self.futures, Status(int(self.mouse.rollout.of_session["status"].max())))


def forecast(
    rollout: Rollout,
    mouse: str | None = None,
    *,
    sessions: int = 20,
    protocol: ProtocolLike | None = None,
    recorded: ProtocolLike | None = None,
    model: TwinModel | None = None,
    twins: int = 200,
    seed: int = 1,
    engine: Engine = "threads",
    workers: int = 2,
) -> Forecast:
    """What a mouse of a record will do in its next sessions.

    It goes on under `protocol`, by default the one it is in, which the record tells; `recorded` says that it was in another.
    Raises ValueError for a mouse that is not there, or a protocol that the record does not agree with.
    """
    model = model or TwinModel()
    one, to = mouse_under(rollout, mouse, protocol, recorded)
    trials = Trials.from_rollout(one.rollout, model.cohort.features)
    fitted = fit_twins(trials, model, fit_others(rollout, one.name, model))
    copies = twins_of(fitted, one, model.cohort, twins, seed)
    return Forecast(one, fitted, copies, to, go_on(copies, sessions, to, engine=engine, workers=workers))


def mouse_under(
    rollout: Rollout, mouse: str | None, protocol: ProtocolLike | None, recorded: ProtocolLike | None
) -> tuple[RecordedMouse, Protocol]:
    """A mouse of a record, and the protocol under which it goes on, as `forecast` takes them."""
    one = recorded_mouse(rollout, mouse, recorded or protocol, told=recorded is not None)
    return one, one.protocol if protocol is None else find_protocol(protocol)


def choices_of(mouse: RecordedMouse) -> int:
    """Choices that say something of the mouse."""
    return int(np.count_nonzero((mouse.rollout.choice >= 0) & (mouse.rollout.reward >= 0)))
