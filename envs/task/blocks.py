"""Blocks of trials in which one side is the more likely, and stimuli shown from a table of cells.

The first block is neutral; the second favours either side; then they alternate. Lengths are the integer part of an
exponential draw cut at both ends. In generated ephys sessions the first block shows every signed contrast equally often:
its cells are drawn without replacement. Sources: iblrig 8.24.7 `choiceworld.py`, `session_creator.py`.
"""

from __future__ import annotations

import math

from envs.compiled import kernel
from envs.draws import BLOCK_LENGTH, BLOCK_SIDE, CONTRAST, truncated_exponential, uniform
from envs.protocol_record import MAX_CONTRASTS
from envs.records import Record

CELLS = 2 * MAX_CONTRASTS


@kernel
def _first_block(protocol: Record, mouse: Record) -> None:
    """Begin the neutral block that opens a session."""
    mouse.block = 0
    mouse.block_trial = 0
    mouse.block_left = 0.5
    mouse.block_length = protocol.block_first[mouse.stage]
    mouse.balance_total = 0
    for cell in range(CELLS):
        mouse.balance[cell] = protocol.block_balance[mouse.stage, cell]
        mouse.balance_total += mouse.balance[cell]


@kernel
def _new_block(protocol: Record, mouse: Record) -> None:
    """Begin a block that favours one side: either one after the first block, then the other in turn."""
    stage = mouse.stage
    left_likely = uniform(mouse.key, mouse.trial, BLOCK_SIDE) < 0.5 if mouse.block == 0 else mouse.block_left < 0.5
    mouse.block_left = protocol.block_probability[stage] if left_likely else 1.0 - protocol.block_probability[stage]
    low = math.exp(-protocol.block_low[stage] / protocol.block_mean[stage])
    high = math.exp(-protocol.block_high[stage] / protocol.block_mean[stage])
    u = uniform(mouse.key, mouse.trial, BLOCK_LENGTH)
    mouse.block_length = int(truncated_exponential(u, protocol.block_mean[stage], low, high))
    mouse.block += 1
    mouse.block_trial = 0


@kernel
def next_block_trial(protocol: Record, mouse: Record) -> None:
    """Move on by one trial, to the next block where one is due; its P(left) is left in `block_left`."""
    if mouse.session_trial == 0 or mouse.block_length == 0:
        _first_block(protocol, mouse)
    else:
        mouse.block_trial += 1
    if mouse.block_trial >= mouse.block_length:
        _new_block(protocol, mouse)


@kernel
def balanced_cell(mouse: Record) -> int:
    """Cell drawn without replacement from those still due."""
    rank = int(uniform(mouse.key, mouse.trial, CONTRAST) * mouse.balance_total)
    cell = 0
    while rank >= mouse.balance[cell]:
        rank -= mouse.balance[cell]
        cell += 1
    mouse.balance[cell] -= 1
    mouse.balance_total -= 1
    return cell


@kernel
def table_cell(protocol: Record, mouse: Record) -> int:
    """Cell drawn from the stage's contingency table."""
    u = uniform(mouse.key, mouse.trial, CONTRAST)
    cell = 0
    while u >= protocol.cell_cumulative[mouse.stage, cell]:
        cell += 1
    return cell
