"""One mouse as its record leaves it: its sessions, the protocol that it is in, and the state of its rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.draws import mouse_keys
from envs.names import suggest
from envs.protocols import PROTOCOLS, Protocol, ProtocolLike, find_protocol
from envs.task.session import new_mice
from twin.data.rollout import Rollout
from twin.evaluation.status_times import with_status
from twin.replay import replay, stages_found
from twin.replay.compare import AGREES


@dataclass(frozen=True, eq=False)
class RecordedMouse:
    """A mouse on the evening of its last recorded session."""

    rollout: Rollout  # of this mouse alone, with statuses
    protocol: Protocol  # that it is in
    rig: np.ndarray  # (1,) of MOUSE_DTYPE, as the record leaves it
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its id."""
        return self.rollout.ids[0]

    @property
    def sessions(self) -> int:
        """Sessions so far."""
        return len(self.rollout.sessions.start)

    @property
    def lengths(self) -> np.ndarray:
        """Trials of each session."""
        return np.asarray(self.rollout.sessions.stop - self.rollout.sessions.start)

    def until(self, session: int) -> RecordedMouse:
        """The same mouse on the evening of an earlier session, from 1."""
        return _replayed(self.rollout.of_sessions(np.arange(session)), self.protocol, self.notes)


def recorded_mouse(
    rollout: Rollout, mouse: str | None = None, protocol: ProtocolLike | None = None, told: bool = False
) -> RecordedMouse:
    """A mouse of a record, the only one if none is named, under the protocol that its sessions agree with.

    `protocol` is the one that it should be in: refused if the record says otherwise, unless it is `told` that it was.
    Raises ValueError for a mouse that is not there, and for a record that agrees with no known protocol.
    """
    one = rollout.select([_row(rollout, mouse)])
    if not len(one):
        raise ValueError(f"mouse {one.ids[0]!r} has no trials; there is nothing to go on from")
    if protocol is not None and told:
        return _replayed(with_status(one), find_protocol(protocol), _unlike(one, find_protocol(protocol)))
    known = _made_under(one) if protocol is None else [find_protocol(protocol)]
    shares = {p.name: _agreement(one, p) for p in known}
    best = max(known, key=lambda p: shares[p.name])
    if shares[best.name] < AGREES:
        raise ValueError(_said(one, best, shares[best.name], protocol is not None))
    return _replayed(with_status(one), best, ())


def _row(rollout: Rollout, mouse: str | None) -> int:
    if mouse is None:
        if rollout.n_mice > 1:
            some = ", ".join(rollout.ids[:5])
            raise ValueError(f"the record has {rollout.n_mice} mice; name the one whose twins are meant: {some}, ...")
        return 0
    if mouse not in rollout.ids:
        raise ValueError(suggest("mouse", mouse, rollout.ids))
    return rollout.ids.index(mouse)


def _made_under(rollout: Rollout) -> Sequence[Protocol]:
    """The protocols that a record may have been made under: the one it was simulated under, else those that are known."""
    if "protocol" in rollout.origin:
        return [Protocol(**table) for table in [rollout.origin["protocol"], *rollout.origin.get("then", ())]]
    return list(PROTOCOLS.values())


def _agreement(rollout: Rollout, protocol: Protocol) -> float:
    """Fraction of trials of the last session that agree with a protocol; 0 of one whose trials follow from no rule."""
    if any(stage.contingencies for stage in protocol.stages):
        return 0.0
    shares, _ = stages_found(rollout, protocol)
    return float(shares[-1])


def _said(rollout: Rollout, best: Protocol, share: float, asked: bool) -> str:
    """Why a record is refused."""
    mouse = f"mouse {rollout.ids[0]!r}: {100 * share:.0f} % of the trials of its last session agree with"
    if not asked:
        return f"{mouse} {best.name!r}, and less with every other known protocol; say which one it was in: recorded = ..."
    others = {p.name: _agreement(rollout, p) for p in _made_under(rollout)}
    nearest = max(others, key=lambda name: others[name])
    return (
        f"{mouse} {best.name!r}, {100 * others[nearest]:.0f} % with {nearest!r}; to forecast it under another protocol than it "
        f"was in, say which that was: recorded = {nearest!r}, protocol = {best.name!r}"
    )


def _unlike(rollout: Rollout, protocol: Protocol) -> tuple[str, ...]:
    share = _agreement(rollout, protocol)
    if share >= AGREES:
        return ()
    return (f"{100 * share:.0f} % of the trials of its last session agree with {protocol.name}, in which it is said to be",)


def _replayed(rollout: Rollout, protocol: Protocol, notes: Sequence[str]) -> RecordedMouse:
    """The mouse, its rig as its last sessions under the protocol leave it; anew where none was under it."""
    shares, begun = stages_found(rollout, protocol)
    first = int(np.flatnonzero(shares < AGREES)[-1]) + 1 if (shares < AGREES).any() else 0
    if first < len(shares):
        under = rollout.of_sessions(np.arange(first, len(shares)))
        rig = replay(under, protocol, max(0, int(begun[first]))).rig
    else:
        rig = new_mice(protocol.record[0], mouse_keys(0, 1))
    rig["trial"], rig["session"] = len(rollout), len(shares) - 1
    return RecordedMouse(rollout, protocol, rig, tuple(notes))


def about_mouse(mouse: RecordedMouse) -> dict[str, Any]:
    """Where a mouse stands: its sessions and trials, status, and stage of the protocol."""
    status = mouse.rollout.of_session["status"]
    return {
        "mouse": mouse.name,
        "protocol": mouse.protocol.name,
        "sessions": mouse.sessions,
        "trials": len(mouse.rollout),
        "status": int(status[-1]),
        "stage": int(mouse.rig["stage"][0]),
    }
