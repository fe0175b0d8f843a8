"""One trial of the IBL task on one mouse record: what the rig shows (`draw`) and what it makes of the choice (`score`).

A trial is `draw`, then a choice and its response time by a mouse or an agent, then `score`. The mechanisms are in modules of
their own (`stages`, `debias`, `blocks`, `slowing`) and sessions begin in `envs.task.session`. What each switch of a protocol
means is said in `envs.protocol`.

Every function changes one numpy record in place and is compiled by numba; plain Python gives the same trials.
Source: iblrig `choiceworld.py` and the training task's `task.py`, as restated in the protocol files.
"""

from __future__ import annotations

import math

from envs.compiled import kernel
from envs.draws import CONTRAST, HABITUATION, QUIESCENCE, SIDE, normal, truncated_exponential, uniform
from envs.records import Record
from envs.task.blocks import balanced_cell, next_block_trial, table_cell
from envs.task.debias import place_repeat, record_response, repeats
from envs.task.slowing import add_response_time
from envs.task.stages import advance_stage, record_outcome

# Time without movement before the stimulus: .2 s plus an exponential of mean .35 s cut to [.2, .5] s (iblrig, all rigs).
QUIESCENCE_MEAN, QUIESCENCE_BASE = 0.35, 0.2
_AT_LOW, _AT_HIGH = math.exp(-0.2 / QUIESCENCE_MEAN), math.exp(-0.5 / QUIESCENCE_MEAN)
HABITUATION_MEAN, HABITUATION_SD = 10.0, 2.0  # seconds until an uncoupled stimulus jumps to the centre (iblrig)


@kernel
def draw_contrast(protocol: Record, mouse: Record) -> int:
    """Number of a contrast drawn from the stage's set."""
    u = uniform(mouse.key, mouse.trial, CONTRAST)
    index = 0
    while u >= protocol.cumulative[mouse.stage, index]:
        index += 1
    return index


@kernel
def _show(protocol: Record, mouse: Record, index: int, right: bool) -> None:
    """Show contrast number `index` on the right or on the left."""
    mouse.contrast_index = index
    mouse.side = 1 if right else -1
    mouse.contrast = mouse.side * protocol.contrasts[index]


@kernel
def present(protocol: Record, mouse: Record, drawn: int) -> None:
    """Show contrast number `drawn`, or what debiasing puts in its place, on one of the sides."""
    mouse.is_repeat = repeats(protocol, mouse, drawn)
    if mouse.is_repeat:
        right = place_repeat(protocol, mouse, drawn)
        _show(protocol, mouse, mouse.contrast_index, right)
        return
    left = mouse.probability_left
    if mouse.held >= 0:  # a chain of repeats has ended
        drawn = mouse.held
        left = mouse.held_left
        mouse.held = -1
    if protocol.zero_contrast_left and protocol.contrasts[drawn] == 0.0:
        left = 1.0
    _show(protocol, mouse, drawn, uniform(mouse.key, mouse.trial, SIDE) >= left)


@kernel
def begin_trial(protocol: Record, mouse: Record) -> None:
    """All that is settled before a stimulus is drawn: the stage, the block, the time without movement."""
    advance_stage(protocol, mouse)
    mouse.probability_left = protocol.left[mouse.stage]
    if protocol.blocked[mouse.stage]:
        next_block_trial(protocol, mouse)
        mouse.probability_left = mouse.block_left
    mouse.start_time = mouse.clock
    u = uniform(mouse.key, mouse.trial, QUIESCENCE)
    mouse.quiescence = QUIESCENCE_BASE + truncated_exponential(u, QUIESCENCE_MEAN, _AT_LOW, _AT_HIGH)


@kernel
def draw(protocol: Record, mouse: Record) -> None:
    """Prepare the next trial: stage, contrast and side."""
    begin_trial(protocol, mouse)
    balanced = protocol.blocked[mouse.stage] and mouse.balance_total > 0
    if balanced or protocol.tabled[mouse.stage]:
        cell = balanced_cell(mouse) if balanced else table_cell(protocol, mouse)
        mouse.is_repeat = False
        _show(protocol, mouse, cell // 2, cell % 2 == 1)
    else:
        present(protocol, mouse, draw_contrast(protocol, mouse))


@kernel
def _reward(protocol: Record, mouse: Record, right: int) -> float:
    """Water of a correct answer, microlitres."""
    if protocol.tabled[mouse.stage]:
        return protocol.cell_reward[mouse.stage, 2 * mouse.contrast_index + right]
    return mouse.reward_ul


@kernel
def _settle(protocol: Record, mouse: Record, choice: int, response_time: float) -> None:
    """The choice and response time as the rig takes them: an answer after the window is none."""
    if not protocol.coupled:
        choice = -1
        response_time = max(0.0, HABITUATION_MEAN + HABITUATION_SD * normal(mouse.key, mouse.trial, HABITUATION))
    elif choice < 0 or response_time >= protocol.response_window_s:
        choice = -1
        response_time = protocol.response_window_s
    mouse.choice = choice
    mouse.response_time = response_time


@kernel
def _feedback_time(protocol: Record, choice: int, correct: bool) -> float:
    """Seconds of feedback after a choice: the stimulus held after a correct one, else a time-out."""
    if correct:
        return protocol.correct_s
    return protocol.error_s if choice >= 0 else protocol.no_go_s


@kernel
def score(protocol: Record, mouse: Record, choice: int, response_time: float) -> int:
    """Reward (0 or 1) of a choice (0 left, 1 right, -1 no-go), and all that the rig remembers of the trial.

    `response_time` is in seconds from stimulus onset. What the rig made of the two is left in the record's `choice` and
    `response_time`, the water in `drop_ul`.
    """
    _settle(protocol, mouse, choice, response_time)
    taken = int(mouse.choice)
    right = 1 if mouse.side > 0 else 0
    correct = taken == right or not protocol.coupled
    if not protocol.adaptive_only:
        record_outcome(mouse, right, correct)
    record_response(protocol, mouse, taken, correct)
    if protocol.slow_factor > 0.0:
        add_response_time(mouse)
    feedback = _feedback_time(protocol, taken, correct)
    mouse.clock = mouse.start_time + mouse.quiescence + mouse.response_time + feedback + protocol.iti_s
    mouse.drop_ul = _reward(protocol, mouse, right) if correct else 0.0
    mouse.water_ul += mouse.drop_ul
    mouse.trial += 1
    mouse.session_trial += 1
    return 1 if correct else 0
