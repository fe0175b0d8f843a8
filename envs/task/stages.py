"""Stages of training: what counts as performance, and when the next stage begins.

Performance buffers are the last 50 outcomes of one signed contrast as bits of one integer, newest lowest, so a buffer is
pushed by a shift and judged by counting bits. Rig 8 counts every trial of the session, and the trial about to start in a
stage's counter. Rigs 4-7 count trials that were no repeats, over all sessions, each when the next trial is prepared: a
session's last trial never counts. Sources: iblrig 8.24.7 `base_choice_world.py`, iblrig 6.2.5 `trial_params.py`.
"""

from __future__ import annotations

import numpy as np

from envs.compiled import kernel
from envs.protocol_record import WINDOW
from envs.records import Record

_ONE, _TWO, _FOUR, _TOP = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
_WINDOW_BITS = np.uint64((1 << WINDOW) - 1)
_PAIRS, _QUADS, _BYTES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
_SUM = np.uint64(0x0101010101010101)


@kernel
def count_bits(bits: np.uint64) -> np.int64:
    """Number of set bits (Warren 2013, Hacker's Delight, section 5-1)."""
    bits = bits - ((bits >> _ONE) & _PAIRS)
    bits = (bits & _QUADS) + ((bits >> _TWO) & _QUADS)
    return np.int64((((bits + (bits >> _FOUR)) & _BYTES) * _SUM) >> _TOP)


@kernel
def _mastered(protocol: Record, mouse: Record) -> bool:
    """Is every contrast of the stage's transition mastered on both sides?"""
    if protocol.scaled_contrast_check:
        return False
    for c in range(protocol.n_contrasts):
        if protocol.advance_contrast[mouse.stage, c]:
            for right in range(2):
                if count_bits(mouse.outcomes[right, c]) < protocol.advance_correct[mouse.stage]:
                    return False
    return True


@kernel
def record_outcome(mouse: Record, right: int, correct: bool) -> None:
    """Push the outcome of the record's trial into the buffer of its contrast and side (`right`: 1 right, 0 left)."""
    outcome = _ONE if correct else np.uint64(0)
    index = mouse.contrast_index
    mouse.outcomes[right, index] = ((mouse.outcomes[right, index] << _ONE) | outcome) & _WINDOW_BITS


@kernel
def advance_stage(protocol: Record, mouse: Record) -> None:
    """Move to the next stage if its time has come; called before each trial is drawn, it moves by one stage at most."""
    if not protocol.adaptive_only:
        mouse.stage_trials += 1
    elif mouse.session_trial > 0 and not mouse.is_repeat:  # the trial before
        right = 1 if mouse.side > 0 else 0
        record_outcome(mouse, right, mouse.choice == right)
        mouse.stage_trials += 1
    if mouse.stage == protocol.n_stages - 1:
        return
    needed = protocol.advance_trials[mouse.stage]
    if (mouse.stage_trials >= needed) if needed > 0 else _mastered(protocol, mouse):
        mouse.stage += 1
        mouse.stage_trials = 0
