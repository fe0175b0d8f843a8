"""Debiasing: after an error the stimulus is repeated, more likely on the side the mouse neglects.

The side of a repeat: right if a normal draw of mean m and sd .5 reaches .5, m the fraction of leftward responses (the rig
counts clockwise turns of the wheel), so P(right) = Phi((m - .5) / .5). What is repeated differs between rigs:

- documented, and rig 8: an error at a contrast of .5 or more is repeated until it is answered correctly.
- rigs 4-7 ask whether the *newly drawn* contrast x is .5 or more; if so, the failed contrast is repeated, whatever it
  was, and x is held. A failed repeat is repeated only if its own contrast is .5 or more. When the chain ends, x is shown,
  on a side drawn with the probability of the last repeat.

Sources: iblrig 8.24.7 `_iblrig_tasks_trainingChoiceWorld/task.py`; iblrig 6.2.5 `trial_params.py`.
"""

from __future__ import annotations

import numpy as np

from envs.compiled import kernel
from envs.draws import DEBIAS, normal
from envs.records import Record
from envs.task.stages import count_bits

DEBIAS_SD = 0.5  # of the normal draw that places a repeat (iblrig)

_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def _last(n: int) -> np.uint64:
    """The lowest n bits set, n from 1 to 64."""
    return _ALL >> np.uint64(64 - n)


@kernel
def left_fraction(protocol: Record, mouse: Record) -> float:
    """Fraction of leftward responses among the last ones of this session; .5 before the first."""
    if protocol.debias_fixed_buffer:
        return count_bits(mouse.responses & _last(protocol.debias_responses)) / protocol.debias_responses
    if mouse.n_responses == 0:
        return 0.5
    if protocol.debias_whole_session:
        return mouse.left_responses / mouse.n_responses
    n = min(mouse.n_responses, protocol.debias_responses)
    return count_bits(mouse.responses & _last(n)) / n


@kernel
def repeats(protocol: Record, mouse: Record, drawn: int) -> bool:
    """Is the next trial a repeat of the last, whose contrast is still in the record? `drawn` is the new contrast's number."""
    if not mouse.wrong or not protocol.debias[mouse.stage]:
        return False
    asked = drawn if protocol.debias_held_contrast and mouse.held < 0 else mouse.contrast_index
    return protocol.contrasts[asked] >= protocol.debias_contrast


@kernel
def place_repeat(protocol: Record, mouse: Record, drawn: int) -> bool:
    """Choose the side of a repeat, True for right; where a protocol holds the newly drawn contrast, keep it for later."""
    m = left_fraction(protocol, mouse)
    if protocol.debias_held_contrast:
        if mouse.held < 0:
            mouse.held = drawn
        mouse.probability_left = mouse.held_left = 1.0 - m
    return m + DEBIAS_SD * normal(mouse.key, mouse.trial, DEBIAS) >= 0.5


@kernel
def record_response(protocol: Record, mouse: Record, choice: int, correct: bool) -> None:
    """Keep a response, from which the side of later repeats follows, and whether a repeat may follow it."""
    left = _ONE if choice == 0 else np.uint64(0)
    if choice >= 0 or protocol.debias_fixed_buffer:
        mouse.responses = (mouse.responses << _ONE) | left
    if choice >= 0:
        mouse.n_responses += 1
        mouse.left_responses += 1 - choice
    mouse.wrong = not correct and (choice >= 0 or protocol.debias_after_no_go)
