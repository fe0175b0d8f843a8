"""One trial of the IBL task on one mouse record: what the rig shows (`draw`) and what it makes of the choice (`score`).

Read it beside the protocol tables. A trial is `draw`, a choice by somebody, `score`; sessions begin in `envs.session`.
Performance buffers are the last 50 outcomes as bits of one integer, newest lowest, so a buffer is pushed by a shift and
judged by counting bits.

Every function works on one numpy record in place and is compiled by numba; plain Python gives the same trials.
Source: iblrig `choiceworld.py` and the training task's `task.py`, as restated in the protocol files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from envs.compiled import kernel
from envs.draws import CONTRAST, DEBIAS, SIDE, normal, uniform
from envs.protocols.tables import MAX_CONTRASTS, WINDOW
from envs.records import record_dtype

DEBIAS_SD = 0.5  # of the normal draw that places a repeat (iblrig)

_ONE = np.uint64(1)
_WINDOW_BITS = np.uint64((1 << WINDOW) - 1)


@dataclass(frozen=True)
class MouseRecord:
    """The rig's state for one mouse (one numpy record)."""

    key: np.uint64
    trial: np.int64  # trials of this mouse so far, over all sessions
    session: np.int64
    session_trial: np.int64
    stage: np.int64
    kept_stage: np.int64  # stage at the end of the last session that was long enough to count
    stage_trials: np.int64  # trial starts in this stage in this session
    contrast_index: np.int64
    contrast: np.float32  # signed, positive = right
    side: np.int8  # +1 right, -1 left: the rewarded side, also at zero contrast
    probability_left: np.float32
    is_repeat: np.bool_
    error: np.bool_  # was the previous trial of this session one that debiasing repeats?
    responses: np.uint64  # last responses of this session as bits, right = 1, newest lowest
    n_responses: np.int64
    outcomes: Annotated[np.uint64, (2, MAX_CONTRASTS)]  # last 50 outcomes as bits, [right?, contrast]
    water_ul: np.float64  # delivered in this session


MOUSE_DTYPE = record_dtype(MouseRecord)


@kernel
def count_bits(bits: np.uint64) -> int:
    """Number of set bits."""
    count = 0
    while bits != 0:
        bits &= bits - _ONE
        count += 1
    return count


@kernel
def _mastered(protocol: Any, mouse: Any) -> bool:
    """Is every contrast of the stage's transition mastered on both sides?"""
    for c in range(protocol.n_contrasts):
        if protocol.advance_contrast[mouse.stage, c]:
            for right in range(2):
                if count_bits(mouse.outcomes[right, c]) < protocol.advance_correct[mouse.stage]:
                    return False
    return True


@kernel
def _advance_stage(protocol: Any, mouse: Any) -> None:
    """At most one step per trial, judged before the trial is drawn; the counter includes the trial about to start."""
    mouse.stage_trials += 1
    if mouse.stage == protocol.n_stages - 1:
        return
    needed = protocol.advance_trials[mouse.stage]
    if (mouse.stage_trials >= needed) if needed > 0 else _mastered(protocol, mouse):
        mouse.stage += 1
        mouse.stage_trials = 0


@kernel
def _right_fraction(protocol: Any, mouse: Any) -> float:
    """Fraction of rightward responses among the last ones of this session (no-gos left out)."""
    n = min(mouse.n_responses, protocol.debias_responses)
    if n == 0:
        return 0.5
    return count_bits(mouse.responses & ((_ONE << np.uint64(n)) - _ONE)) / n


@kernel
def draw(protocol: Any, mouse: Any) -> None:
    """Prepare the next trial: stage, contrast and side."""
    _advance_stage(protocol, mouse)
    stage = mouse.stage
    mouse.probability_left = protocol.left[stage]
    mouse.is_repeat = mouse.error and protocol.debias[stage] != 0
    if mouse.is_repeat:  # same contrast; P(right) = Phi((m - .5) / .5), m the right fraction: towards the neglected side
        right = _right_fraction(protocol, mouse) + DEBIAS_SD * normal(mouse.key, mouse.trial, DEBIAS) >= 0.5
    else:
        u = uniform(mouse.key, mouse.trial, CONTRAST)
        index = 0
        while index < protocol.n_contrasts - 1 and u >= protocol.cumulative[stage, index]:
            index += 1
        mouse.contrast_index = index
        right = uniform(mouse.key, mouse.trial, SIDE) >= mouse.probability_left
    mouse.side = 1 if right else -1
    mouse.contrast = mouse.side * protocol.contrasts[mouse.contrast_index]


@kernel
def score(protocol: Any, mouse: Any, choice: int) -> int:
    """Reward (0 or 1) of a choice (0 left, 1 right, -1 no-go), and all that the rig remembers of the trial."""
    right = 1 if mouse.side > 0 else 0
    correct = choice == right
    outcome = _ONE if correct else np.uint64(0)
    index = mouse.contrast_index
    mouse.outcomes[right, index] = ((mouse.outcomes[right, index] << _ONE) | outcome) & _WINDOW_BITS
    if choice >= 0:
        mouse.responses = (mouse.responses << _ONE) | np.uint64(choice)
        mouse.n_responses += 1
    repeatable = protocol.contrasts[index] >= protocol.debias_contrast
    mouse.error = repeatable and not correct and (choice >= 0 or protocol.debias_after_no_go)
    mouse.trial += 1
    mouse.session_trial += 1
    if not correct:
        return 0
    mouse.water_ul += protocol.reward_ul
    return 1
