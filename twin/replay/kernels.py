"""The compiled part of a replay: what a rig would have shown in the place of each recorded trial of one mouse."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs.compiled import kernel
from envs.draws import BLOCK_LENGTH, truncated_exponential, uniform
from envs.records import Record
from envs.task.session import next_session
from envs.task.trial import begin_trial, draw_contrast, present, score
from twin.data.rollout import Rollout

CONTRAST, LEFT, REPEAT = 4, 2, 1  # what can agree; a candidate with the right contrast is better than any without
UNKNOWN = -1  # is_repeat of data that do not store it
_TOLERANCE = 1e-3  # recorded contrasts and probabilities may have been rounded


class Recorded(NamedTuple):
    """The recorded trials of one mouse, (T,) each."""

    contrast: np.ndarray
    side: np.ndarray
    choice: np.ndarray
    probability_left: np.ndarray
    new_session: np.ndarray
    is_repeat: np.ndarray  # int8, UNKNOWN where not recorded
    response_time: np.ndarray  # 0 where not recorded
    start_time: np.ndarray  # NaN where not recorded, or where the rig's own clock is as good

    @classmethod
    def of(cls, rollout: Rollout, rows: slice) -> Recorded:
        n = rows.stop - rows.start
        flags = rollout.columns.get("is_repeat")
        seconds = rollout.columns.get("response_time")
        starts = rollout.columns.get("start_time") if rollout.keys is None else None
        return cls(
            rollout.contrast[rows],
            rollout.side[rows],
            rollout.choice[rows],
            rollout.probability_left[rows],
            rollout.new_session[rows],
            np.full(n, UNKNOWN, np.int8) if flags is None else flags[rows].astype(np.int8),
            np.zeros(n, np.float32) if seconds is None else np.nan_to_num(seconds[rows]),
            np.full(n, np.nan, np.float32) if starts is None else starts[rows],
        )


@kernel
def replay_mouse(
    protocol: Record, mice: Record, recorded: Record, stages: np.ndarray, repeats: np.ndarray, agrees: np.ndarray
) -> None:
    """Trials of one mouse through its rig: mice[0] is its record, four more are for trying. The last three are filled, (T,)."""
    mouse = mice[0]
    block_length = 0
    for t in range(recorded.contrast.shape[0]):
        if recorded.new_session[t] and t > 0:
            next_session(protocol, mouse)
        _begin_recorded(protocol, mouse, recorded.probability_left[t])
        if mouse.block_trial == 0:
            block_length = mouse.block_length
        agreed = _present_best(protocol, mice, recorded, t)
        agrees[0, t] = agreed >= CONTRAST
        agrees[1, t] = agreed & LEFT > 0
        agrees[2, t] = agreed & REPEAT > 0
        stages[t] = mouse.stage
        repeats[t] = mouse.is_repeat
        _score_recorded(protocol, mouse, recorded, t)
    if protocol.blocked[mouse.stage] and mouse.block > 0:
        mouse.block_length = _block_length(protocol, mouse, block_length)


@kernel
def _block_length(protocol: Record, mouse: Record, drawn: int) -> int:
    """A length of the current block: as drawn when it began, or drawn again from the lengths that it can still have."""
    if drawn > mouse.block_trial:
        return drawn
    mean, high = protocol.block_mean[mouse.stage], protocol.block_high[mouse.stage]
    low = min(max(protocol.block_low[mouse.stage], mouse.block_trial + 1), high)
    u = uniform(mouse.key, mouse.trial - 1, BLOCK_LENGTH)
    return int(truncated_exponential(u, mean, math.exp(-low / mean), math.exp(-high / mean)))


@kernel
def _begin_recorded(protocol: Record, mouse: Record, left: float) -> None:
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
def _score_recorded(protocol: Record, mouse: Record, recorded: Record, t: int) -> None:
    """Put the recorded contrast, side, time and choice in the place of what was drawn."""
    mouse.contrast = recorded.contrast[t]
    mouse.side = recorded.side[t]
    if not math.isnan(recorded.start_time[t]):
        mouse.start_time = recorded.start_time[t]
    cell = 2 * mouse.contrast_index + (1 if mouse.side > 0 else 0)
    if mouse.balance[cell] > 0:  # of a balanced block
        mouse.balance[cell] -= 1
        mouse.balance_total -= 1
    score(protocol, mouse, int(recorded.choice[t]), recorded.response_time[t])


@kernel
def _present_best(protocol: Record, mice: Record, recorded: Record, t: int) -> int:
    """Present, to mice[0], the new contrast that best explains trial t and then trial t + 1; returns what agrees in t.

    A repeat that stores P(left) = .5 can look like none; what follows it usually tells. Where it does not, it is taken for
    one: a mouse that has just erred draws an easy contrast, and so a repeat, more often than the one it erred at. What no
    trial tells is as the mouse's key draws it.
    """
    best = -1
    agreed = 0
    by_key = mice[0].held if mice[0].held >= 0 else draw_contrast(protocol, mice[0])
    for drawn in range(protocol.n_contrasts):
        mice[1] = mice[0]
        if not _present(protocol, mice[1], drawn):
            continue
        points = _agreement(mice[1], recorded, t)
        mice[3] = mice[1]
        following = _agreement_next(protocol, mice, recorded, t)
        total = 32 * points + 4 * following + 2 * mice[3].is_repeat + (drawn == by_key)
        if total > best:
            best, agreed = total, points
            mice[2] = mice[3]
    mice[0] = mice[2]
    if agreed < CONTRAST:
        mice[0].contrast_index = _nearest(protocol, abs(recorded.contrast[t]))
        mice[0].is_repeat, mice[0].held = recorded.is_repeat[t] > 0, -1
    return agreed


@kernel
def _agreement_next(protocol: Record, mice: Record, recorded: Record, t: int) -> int:
    """The most of trial t + 1 that can agree if mice[1] did trial t; CONTRAST + LEFT + REPEAT at the end of a session."""
    best = CONTRAST + LEFT + REPEAT
    if t + 1 < recorded.contrast.shape[0] and not recorded.new_session[t + 1]:
        _score_recorded(protocol, mice[1], recorded, t)
        _begin_recorded(protocol, mice[1], recorded.probability_left[t + 1])
        best = 0
        for drawn in range(protocol.n_contrasts):
            mice[4] = mice[1]
            if _present(protocol, mice[4], drawn):
                best = max(best, _agreement(mice[4], recorded, t + 1))
    return best


@kernel
def _present(protocol: Record, mouse: Record, drawn: int) -> bool:
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
def _agreement(mouse: Record, recorded: Record, t: int) -> int:
    """What of recorded trial t agrees with the trial presented."""
    contrast = abs(abs(mouse.contrast) - abs(recorded.contrast[t])) < _TOLERANCE
    left = abs(mouse.probability_left - recorded.probability_left[t]) < _TOLERANCE
    is_repeat = recorded.is_repeat[t] == UNKNOWN or recorded.is_repeat[t] == mouse.is_repeat
    return CONTRAST * contrast + LEFT * left + REPEAT * is_repeat


@kernel
def _in_set(protocol: Record, stage: int, c: int) -> bool:
    """Can contrast number c be drawn in a stage?"""
    return protocol.cumulative[stage, c] > (protocol.cumulative[stage, c - 1] if c > 0 else 0.0)


@kernel
def _nearest(protocol: Record, contrast: float) -> int:
    """Number of the protocol's contrast nearest to one that it may not have."""
    nearest = 0
    for c in range(1, protocol.n_contrasts):
        if abs(protocol.contrasts[c] - contrast) < abs(protocol.contrasts[nearest] - contrast):
            nearest = c
    return nearest
