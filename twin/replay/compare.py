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

import numpy as np

from envs.draws import mouse_keys
from envs.protocols import ProtocolLike, find_protocol
from envs.task.session import new_mice
from twin.data.rollout import Rollout
from twin.replay.kernels import Recorded, replay_mouse


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


def replay(rollout: Rollout, protocol: ProtocolLike, stage: int = 0) -> Replay:
    """Recorded trials (contrast, side, choice, probability_left, session) through a protocol, from a mouse's first day on.

    `stage` is the one it begins in. Simulated trials agree throughout with the protocol they were simulated under. With
    blocks, P(left) may change whenever a block is as long as blocks can be. Raises ValueError for a protocol with
    contingencies, whose trials follow from no rule that could be checked.
    """
    protocol = find_protocol(protocol)
    if any(s.contingencies for s in protocol.stages):
        raise ValueError(f"protocol {protocol.name!r} shows trials from a table, in any order; there is nothing to replay")
    n = len(rollout)
    stages = np.zeros(n, np.int8)
    repeats = np.zeros(n, bool)
    agrees = np.zeros((3, n), bool)
    keys = mouse_keys(0, rollout.n_mice) if rollout.keys is None else rollout.keys
    rig = new_mice(protocol.record[0], keys, stage)
    for m in range(rollout.n_mice):
        rows = rollout.of_mouse(m)
        mice = np.repeat(rig[m : m + 1], 5)
        replay_mouse(protocol.record[0], mice, Recorded.of(rollout, rows), stages[rows], repeats[rows], agrees[:, rows])
        rig[m] = mice[0]
    return Replay(stages, repeats, agrees[0], agrees[1], agrees[2], rig, rollout)


def agreement(rollout: Rollout, protocols: Sequence[ProtocolLike]) -> tuple[list[str], list[list[str]]]:
    """Which sessions followed which protocol: header and rows of a table, one row per session.

    A row has the fraction of trials that agree with each protocol, and the protocols that agree best. The stage is
    carried from session to session, so a record should begin with the mouse's first day of training.
    """
    found = [find_protocol(protocol) for protocol in protocols]
    fractions = np.array([replay(rollout, protocol).by_session for protocol in found])
    names = [protocol.name for protocol in found]
    s = rollout.sessions
    rows = []
    for i, shares in enumerate(fractions.T):
        best = ", ".join(name for name, share in zip(names, shares, strict=True) if share == shares.max())
        session = [rollout.ids[s.mouse[i]], str(s.session[i] + 1), str(s.stop[i] - s.start[i])]
        rows.append([*session, *(f"{share:.3f}" for share in shares), best])
    return ["mouse", "session", "trials", *names, "best"], rows
