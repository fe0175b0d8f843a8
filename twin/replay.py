"""Recorded trials put through the rig's own functions: which of them would a protocol have shown?

The rig decides some things by lot (the new contrast, the side) and the rest by rule: which contrasts are in use, whether a
trial repeats the last and which P(left) is stored. Each recorded trial is compared with what `present` would have done for
every contrast that could have been drawn; then the recorded trial is put in its place and `score` goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from envs.compiled import kernel
from envs.protocols import Protocol, load_protocol
from envs.task.session import new_mice, next_session
from envs.task.trial import begin_trial, present, score
from twin.data.rollout import Rollout

CONTRAST, LEFT, REPEAT = 4, 2, 1  # what can agree; a candidate with the right contrast is better than any without
UNKNOWN = -1  # is_repeat of data that do not store it
_TOLERANCE = 1e-3  # recorded contrasts and probabilities may have been rounded


@dataclass(frozen=True)
class Replay:
    """What a protocol makes of recorded trials: one value a trial, (N,), in the order of the rollout."""

    stage: np.ndarray  # the stage the mouse would be in
    is_repeat: np.ndarray  # whether the trial is a repeat
    contrast_agrees: np.ndarray  # is the contrast one that could be shown?
    probability_left_agrees: np.ndarray  # and is P(left) what the rig would store with it?
    repeat_agrees: np.ndarray  # and is it a repeat or none, as recorded? True where that is not recorded
    rollout: Rollout

    @property
    def agrees(self) -> np.ndarray:
        """Trials in which all of it agrees, (N,)."""
        return self.contrast_agrees & self.probability_left_agrees & self.repeat_agrees

    @property
    def by_session(self) -> np.ndarray:
        """Fraction of trials that agree in each of `rollout.sessions`, (S,)."""
        sessions = self.rollout.sessions
        total = np.concatenate([[0], np.cumsum(self.agrees)])
        return (total[sessions.stop] - total[sessions.start]) / (sessions.stop - sessions.start)


def replay(rollout: Rollout, protocol: Protocol | str, stage: int = 0) -> Replay:
    """Recorded trials (contrast, side, choice, probability_left, session) through a protocol, from a stage on.

    Simulated trials agree throughout with the protocol they were simulated under. With blocks, P(left) may change
    whenever a block is as long as blocks can be. Raises ValueError for a protocol with contingencies, whose trials follow
    from no rule that could be checked.
    """
    protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
    if any(s.contingencies for s in protocol.stages):
        raise ValueError(f"protocol {protocol.name!r} shows trials from a table, in any order; there is nothing to replay")
    rig, n = protocol.record, len(rollout)
    stages, repeats, agrees = np.zeros(n, np.int8), np.zeros(n, bool), np.zeros((3, n), bool)
    for m in range(rollout.n_mice):
        rows = rollout.of_mouse(m)
        mice = new_mice(rig[0], np.zeros(5, np.uint64), stage)
        _replay(rig, mice, _Seen.of(rollout, rows), stages[rows], repeats[rows], agrees[:, rows])
    return Replay(stages, repeats, agrees[0], agrees[1], agrees[2], rollout)


def agreement(rollout: Rollout, protocols: Sequence[Protocol]) -> tuple[list[str], list[list[str]]]:
    """Which sessions followed which protocol: header and rows of a table, one row per session.

    A row has the fraction of trials that agree with each protocol, and the protocols that agree best. The stage is
    carried from session to session, so a record should begin with the mouse's first day of training.
    """
    fractions = np.array([replay(rollout, protocol).by_session for protocol in protocols])
    names, s = [protocol.name for protocol in protocols], rollout.sessions
    rows = []
    for i, shares in enumerate(fractions.T):
        best = ", ".join(name for name, share in zip(names, shares, strict=True) if share == shares.max())
        session = [rollout.ids[s.mouse[i]], str(s.session[i] + 1), str(s.stop[i] - s.start[i])]
        rows.append([*session, *(f"{share:.3f}" for share in shares), best])
    return ["mouse", "session", "trials", *names, "best"], rows


class _Seen(NamedTuple):
    """The recorded trials of one mouse, (T,) each."""

    contrast: np.ndarray
    side: np.ndarray
    choice: np.ndarray
    probability_left: np.ndarray
    new_session: np.ndarray
    is_repeat: np.ndarray  # int8, UNKNOWN where not recorded
    response_time: np.ndarray

    @classmethod
    def of(cls, rollout: Rollout, rows: slice) -> _Seen:
        n = rows.stop - rows.start
        flags = rollout.columns.get("is_repeat")
        seconds = rollout.columns.get("response_time")
        return cls(
            rollout.contrast[rows],
            rollout.side[rows],
            rollout.choice[rows],
            rollout.probability_left[rows],
            rollout.new_session[rows],
            np.full(n, UNKNOWN, np.int8) if flags is None else flags[rows].astype(np.int8),
            np.zeros(n, np.float32) if seconds is None else seconds[rows],
        )


@kernel
def _replay(rig: Any, mice: Any, seen: Any, stages: np.ndarray, repeats: np.ndarray, agrees: np.ndarray) -> None:
    """Trials of one mouse (`seen`: _Seen); mice[0] is its record, the others are for trying."""
    protocol, mouse = rig[0], mice[0]
    for t in range(seen.contrast.shape[0]):
        if seen.new_session[t] and t > 0:
            next_session(protocol, mouse)
        _begin_recorded(protocol, mouse, seen.probability_left[t])
        agreed = _present_best(protocol, mice, seen, t)
        agrees[0, t], agrees[1, t], agrees[2, t] = agreed >= CONTRAST, agreed & LEFT > 0, agreed & REPEAT > 0
        stages[t], repeats[t] = mouse.stage, mouse.is_repeat
        _score_recorded(protocol, mouse, seen, t)


@kernel
def _begin_recorded(protocol: Any, mouse: Any, left: float) -> None:
    """Begin a trial with the recorded P(left), if a block may end here and the next one favour that side."""
    if not protocol.blocked[mouse.stage]:
        begin_trial(protocol, mouse)
        return
    low, high = protocol.block_low[mouse.stage], protocol.block_high[mouse.stage]
    length = mouse.block_trial + 1  # of the block so far; that of the first is fixed
    if mouse.block > 0 and mouse.session_trial > 0:
        ends = length >= high or (length >= low and abs(left - mouse.block_left) > _TOLERANCE)
        mouse.block_length = length + (0 if ends else 1)
    begin_trial(protocol, mouse)
    if mouse.block == 1 and mouse.block_trial == 0:  # the first to favour a side favours either
        likely = protocol.block_probability[mouse.stage]
        mouse.block_left = mouse.probability_left = likely if left > 0.5 else 1.0 - likely


@kernel
def _score_recorded(protocol: Any, mouse: Any, seen: Any, t: int) -> None:
    """Put the recorded side and choice in the place of what was drawn."""
    mouse.side = seen.side[t]
    score(protocol, mouse, int(seen.choice[t]), seen.response_time[t])


@kernel
def _present_best(protocol: Any, mice: Any, seen: Any, t: int) -> int:
    """Present, to mice[0], the new contrast that best explains trial t and then trial t + 1; returns what agrees in t.

    A repeat that stores P(left) = .5 can look like none; what follows it usually tells. Where it does not, it is taken for
    one: a mouse that has just erred draws an easy contrast, and so a repeat, more often than the one it erred at.
    """
    best, agreed = -1, 0
    for drawn in range(protocol.n_contrasts):
        mice[1] = mice[0]
        if not _present(protocol, mice[1], drawn):
            continue
        points = _agreement(mice[1], seen, t)
        mice[3] = mice[1]
        total = 16 * points + 2 * _agreement_next(protocol, mice, seen, t) + mice[3].is_repeat
        if total > best:
            best, agreed = total, points
            mice[2] = mice[3]
    mice[0] = mice[2]
    if agreed < CONTRAST:
        mice[0].contrast_index = _nearest(protocol, abs(seen.contrast[t]))
        mice[0].is_repeat, mice[0].held = seen.is_repeat[t] > 0, -1
    return agreed


@kernel
def _agreement_next(protocol: Any, mice: Any, seen: Any, t: int) -> int:
    """The most of trial t + 1 that can agree if mice[1] did trial t; CONTRAST + LEFT + REPEAT at the end of a session."""
    best = CONTRAST + LEFT + REPEAT
    if t + 1 < seen.contrast.shape[0] and not seen.new_session[t + 1]:
        _score_recorded(protocol, mice[1], seen, t)
        _begin_recorded(protocol, mice[1], seen.probability_left[t + 1])
        best = 0
        for drawn in range(protocol.n_contrasts):
            mice[4] = mice[1]
            if _present(protocol, mice[4], drawn):
                best = max(best, _agreement(mice[4], seen, t + 1))
    return best


@kernel
def _present(protocol: Any, mouse: Any, drawn: int) -> bool:
    """Present a newly drawn contrast; False if the stage could not have drawn it."""
    if not _in_set(protocol, mouse.stage, drawn):
        return False
    if mouse.held >= 0:  # what was held in a chain of repeats shows only at its end: any easy contrast will do
        if protocol.contrasts[drawn] < protocol.debias_contrast:
            return False
        mouse.held = drawn
    present(protocol, mouse, drawn)
    return True


@kernel
def _agreement(mouse: Any, seen: Any, t: int) -> int:
    """What of recorded trial t agrees with the trial presented."""
    contrast = abs(abs(mouse.contrast) - abs(seen.contrast[t])) < _TOLERANCE
    left = abs(mouse.probability_left - seen.probability_left[t]) < _TOLERANCE
    is_repeat = seen.is_repeat[t] == UNKNOWN or seen.is_repeat[t] == mouse.is_repeat
    return CONTRAST * contrast + LEFT * left + REPEAT * is_repeat


@kernel
def _in_set(protocol: Any, stage: int, c: int) -> bool:
    """Can contrast number c be drawn in a stage?"""
    return protocol.cumulative[stage, c] > (protocol.cumulative[stage, c - 1] if c > 0 else 0.0)


@kernel
def _nearest(protocol: Any, contrast: float) -> int:
    """Number of the protocol's contrast nearest to one that it may not have."""
    nearest = 0
    for c in range(1, protocol.n_contrasts):
        if abs(protocol.contrasts[c] - contrast) < abs(protocol.contrasts[nearest] - contrast):
            nearest = c
    return nearest
