"""Recorded trials put through the rig's own functions: which would a protocol have shown, and in what state do they leave it?

The rig decides some things by lot (the new contrast, the side) and the rest by rule: which contrasts are in use, whether a
trial repeats the last and which P(left) is stored. Each recorded trial is compared with what `present` would have done for
every contrast that could have been drawn; then the recorded trial is put in its place and `score` goes on from there.

The rig's records after the last trial are left in `Replay.rig`. A record does not determine all of them. Drawn by the
mouse's key, hence right if the rollout has the keys that it was simulated with, and else one of the possible values, are: the
length of the block that the record breaks off in, the contrast held through a chain of repeats (rigs 4-7) that it breaks
off in, and the time without movement, a part of the clock. Taken for zero where they are not recorded: response times,
on which the end of a session may depend. Taken as the best guess: whether a trial is a repeat, where that is not recorded.
Not known at all: whether the last session was over (`twin.simulation.begin_session` ends it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs.draws import mouse_keys
from envs.protocols import Protocol, ProtocolLike, find_protocol
from envs.task.session import new_mice, next_session
from twin.data.rollout import Rollout
from twin.replay.kernels import Recorded, replay_mouse

AGREES = 0.9  # of the trials of a session, from which it is said to follow a protocol


@dataclass(frozen=True)
class Replay:
    """What a protocol makes of recorded trials: one value a trial, (N,), in the order of the rollout."""

    stage: np.ndarray  # the stage the mouse would be in
    is_repeat: np.ndarray  # whether the trial is a repeat
    contrast_agrees: np.ndarray  # is the contrast one that could be shown?
    probability_left_agrees: np.ndarray  # and is P(left) what the rig would store with it?
    repeat_agrees: np.ndarray  # and is it a repeat or none, as recorded? True where that is not recorded
    rig: np.ndarray  # (M,) of MOUSE_DTYPE: the rigs after the last trials
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


class _Part(NamedTuple):
    """What a protocol makes of some trials of one mouse, (N,) each, and the rig's record after the last."""

    stage: np.ndarray
    is_repeat: np.ndarray
    agrees: np.ndarray  # (3, N) contrast, P(left), repeat
    after: np.void

    @property
    def share(self) -> float:
        """Fraction of the trials in which all agrees."""
        return float(self.agrees.all(axis=0).mean())


def replay(rollout: Rollout, protocol: ProtocolLike, stage: int = 0) -> Replay:
    """Recorded trials (contrast, side, choice, probability_left, session) through a protocol, from a mouse's first day on.

    `stage` is the one it begins in. Simulated trials agree throughout with the protocol they were simulated under. With
    blocks, P(left) may change whenever a block is as long as blocks can be. Raises ValueError for a protocol with
    contingencies, whose trials follow from no rule that could be checked, or that has no such stage.
    """
    protocol = _replayable(protocol, stage, rollout)
    n = len(rollout)
    stages, repeats, agrees = np.zeros(n, np.int8), np.zeros(n, bool), np.zeros((3, n), bool)
    rig = new_mice(protocol.record[0], _keys(rollout), stage)
    for m in range(rollout.n_mice):
        rows = rollout.of_mouse(m)
        stages[rows], repeats[rows], agrees[:, rows], rig[m] = _replay_trials(protocol, rig[m : m + 1], rollout, rows)
    return Replay(stages, repeats, agrees[0], agrees[1], agrees[2], rig, rollout)


def agreement(
    rollout: Rollout, protocols: Sequence[ProtocolLike], stage: int | None = None
) -> tuple[list[str], list[list[str]], list[str]]:
    """Which sessions followed which protocol: header and rows of a table, one row per session, and a line for each stage found.

    A row has the fraction of trials that agree with each protocol, and the protocols that agree best, "none" if none agrees in
    AGREES of the trials. Stages are as `stages_found` has them; those of sessions that agree are told. Raises ValueError as
    `replay`.
    """
    compared = [find_protocol(protocol) for protocol in protocols]
    found = [stages_found(rollout, protocol, stage) for protocol in compared]
    names = [protocol.name for protocol in compared]
    s = rollout.sessions
    rows, told = [], []
    for i in range(len(s.mouse)):
        shares = [share[i] for share, _ in found]
        agreeing = [k for k, share in enumerate(shares) if share == max(shares) and share >= AGREES]
        session = [rollout.ids[s.mouse[i]], str(s.session[i] + 1), str(s.stop[i] - s.start[i])]
        rows.append([*session, *(f"{share:.3f}" for share in shares), ", ".join(names[k] for k in agreeing) or "none"])
        where = f"mouse {session[0]}, session {session[1]}:"
        told += [f"{where} begins in stage {found[k][1][i]} of {names[k]}" for k in agreeing if found[k][1][i] >= 0]
    return ["mouse", "session", "trials", *names, "best"], rows, told


def stages_found(rollout: Rollout, protocol: ProtocolLike, stage: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """How far each session agrees with a protocol, (S,), and the stage it was found to begin in, (S,), -1 if it was not sought.

    Given the `stage` in which records begin, none is sought: each session goes on where the last one ended. With None, the
    first session of a record begins in the stage that explains it best, and so does one that agrees in less than AGREES of its
    trials: what the mouse did before, which counts towards its next stage, is not in the record. A first session found to begin
    in the first stage has -1. Raises ValueError as `replay`.
    """
    protocol = _replayable(protocol, stage or 0, rollout)
    s = rollout.sessions
    shares, begun = np.zeros(len(s.mouse)), np.full(len(s.mouse), -1)
    rig = new_mice(protocol.record[0], _keys(rollout), stage or 0)
    for i, m in enumerate(s.mouse):
        first = i == 0 or s.mouse[i - 1] != m
        if not first:
            next_session(protocol.record[0], rig[m])
        rows, before = slice(int(s.start[i]), int(s.stop[i])), rig[m : m + 1].copy()
        part = _replay_trials(protocol, before, rollout, rows)
        if stage is None and (first or part.share < AGREES):
            begun[i], part = _best_stage(protocol, before, rollout, rows, part, first)
        shares[i], rig[m] = part.share, part.after
    return shares, begun


def _best_stage(
    protocol: Protocol, before: np.ndarray, rollout: Rollout, rows: slice, carried: _Part, first: bool
) -> tuple[int, _Part]:
    """The stage in which a session best begins, -1 for the one that it is in `before`, and what follows from it.

    Of stages that agree alike the one that shows the fewest contrasts is the likeliest; but after the `first` session, the one
    that is carried is kept unless another agrees better.
    """
    at = int(before["stage"][0])
    best: tuple[float, int] = (carried.share, -len(protocol.stages[at].shown) if first else 0)
    found = (-1, carried)
    for stage in range(len(protocol.stages)):
        rig = before.copy()
        rig["stage"] = rig["kept_stage"] = stage
        rig["stage_trials"], rig["outcomes"] = 0, 0
        part = _replay_trials(protocol, rig, rollout, rows)
        score = (part.share, -len(protocol.stages[stage].shown))
        if stage != at and score > best:
            best, found = score, (stage, part)
    return found


def _replayable(protocol: ProtocolLike, stage: int, rollout: Rollout) -> Protocol:
    """The protocol. Raises ValueError if there is nothing to replay, or no such stage."""
    protocol = find_protocol(protocol)
    if np.isnan(rollout.probability_left).any() or not rollout.side.all():
        raise ValueError(
            "the record does not tell P(left) or the rewarded side of every trial, by which a protocol is known; expected a "
            "table with the outcome and the probability_left of each"
        )
    if any(s.contingencies for s in protocol.stages):
        raise ValueError(f"protocol {protocol.name!r} shows trials from a table, in any order; there is nothing to replay")
    if not 0 <= stage < len(protocol.stages):
        raise ValueError(f"stage {stage}: protocol {protocol.name!r} has the stages 0 to {len(protocol.stages) - 1}")
    return protocol


def _keys(rollout: Rollout) -> np.ndarray:
    return mouse_keys(0, rollout.n_mice) if rollout.keys is None else rollout.keys


def _replay_trials(protocol: Protocol, rig: np.ndarray, rollout: Rollout, rows: slice) -> _Part:
    """Some trials of one mouse, from its rig's record (1,) on."""
    n = rows.stop - rows.start
    mice = np.repeat(rig, 5)
    stages, repeats, agrees = np.zeros(n, np.int8), np.zeros(n, bool), np.zeros((3, n), bool)
    replay_mouse(protocol.record[0], mice, Recorded.of(rollout, rows), stages, repeats, agrees)
    return _Part(stages, repeats, agrees, mice[0])
