"""What compiled code reads of a Protocol: one numpy record, filled from the tables.

A cell is a signed contrast: number 2 c on the left and 2 c + 1 on the right of contrast c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from envs.records import Record, record_dtype

if TYPE_CHECKING:
    from envs.protocol import Protocol, Stage

MAX_STAGES, MAX_CONTRASTS = 12, 12
WINDOW = 50  # trials of one signed contrast over which the rig judges performance (iblrig 8.24.7, choiceworld.py)
ADAPTS = ("never", "2019", "v8")  # `Protocol.adapts` is its place in this list


@dataclass(frozen=True)
class ProtocolRecord:
    """Fields of a Protocol by their own names, and its stages as arrays."""

    n_stages: np.int64
    n_contrasts: np.int64
    contrasts: Annotated[np.float32, (MAX_CONTRASTS,)]
    cumulative: Annotated[np.float64, (MAX_STAGES, MAX_CONTRASTS)]  # cumulative probability of each contrast
    left: Annotated[np.float64, (MAX_STAGES,)]
    debias: Annotated[np.uint8, (MAX_STAGES,)]  # numba has no arrays of truth values inside a record
    tabled: Annotated[np.uint8, (MAX_STAGES,)]  # is there a contingency table?
    cell_cumulative: Annotated[np.float64, (MAX_STAGES, 2 * MAX_CONTRASTS)]
    cell_reward: Annotated[np.float64, (MAX_STAGES, 2 * MAX_CONTRASTS)]
    blocked: Annotated[np.uint8, (MAX_STAGES,)]  # are there blocks?
    block_first: Annotated[np.int64, (MAX_STAGES,)]
    block_probability: Annotated[np.float64, (MAX_STAGES,)]
    block_mean: Annotated[np.float64, (MAX_STAGES,)]
    block_low: Annotated[np.float64, (MAX_STAGES,)]
    block_high: Annotated[np.float64, (MAX_STAGES,)]
    block_balance: Annotated[np.int64, (MAX_STAGES, 2 * MAX_CONTRASTS)]  # trials of each cell in a balanced first block
    advance_contrast: Annotated[np.uint8, (MAX_STAGES, MAX_CONTRASTS)]
    advance_correct: Annotated[np.int64, (MAX_STAGES,)]
    advance_trials: Annotated[np.int64, (MAX_STAGES,)]
    coupled: np.bool_
    debias_contrast: np.float64
    debias_responses: np.int64
    debias_after_no_go: np.bool_
    debias_whole_session: np.bool_
    debias_held_contrast: np.bool_
    debias_fixed_buffer: np.bool_
    adaptive_only: np.bool_
    keeps_performance: np.bool_
    scaled_contrast_check: np.bool_
    zero_contrast_left: np.bool_
    session_trials: np.int64
    session_minutes: np.float64
    few_minutes: np.float64
    few_trials: np.int64
    slow_factor: np.float64
    slow_minutes: np.float64
    history_trials: np.int64
    response_window_s: np.float64
    correct_s: np.float64
    error_s: np.float64
    no_go_s: np.float64
    iti_s: np.float64
    adapts: np.int64
    reward_ul: np.float64
    reward_low_ul: np.float64
    reward_high_ul: np.float64
    gain: np.float64
    trained_gain: np.float64
    body_weight_g: np.float64


PROTOCOL_DTYPE = record_dtype(ProtocolRecord)


def protocol_record(protocol: Protocol) -> np.ndarray:
    """A protocol as an array of one record of `PROTOCOL_DTYPE`."""
    array = np.zeros(1, PROTOCOL_DTYPE)
    record: Record = array[0]
    contrasts = protocol.contrasts
    record.n_stages = len(protocol.stages)
    record.n_contrasts = len(contrasts)
    record.contrasts[: len(contrasts)] = contrasts
    record.adapts = ADAPTS.index(protocol.adapts)
    for s, stage in enumerate(protocol.stages):
        _fill_stage(record, s, stage, contrasts)
    for name in set(PROTOCOL_DTYPE.names or ()) & set(type(protocol).model_fields) - {"adapts"}:
        array[name] = getattr(protocol, name)
    return array


def _cumulative(probability: np.ndarray) -> np.ndarray:
    """Cumulative probabilities, exactly 1 from the last possible one on, so that no rounding shows the unshown."""
    total = np.cumsum(probability)
    total[np.flatnonzero(probability)[-1] :] = 1.0
    return total


def _fill_stage(record: Record, s: int, stage: Stage, contrasts: tuple[float, ...]) -> None:
    """Write stage number s into the arrays of the record."""
    record.left[s] = stage.left
    record.debias[s] = stage.debias
    if stage.advance:
        record.advance_contrast[s, [contrasts.index(c) for c in stage.advance.contrasts]] = True
        record.advance_correct[s] = stage.advance.correct
        record.advance_trials[s] = stage.advance.trials
    if stage.contingencies:
        _fill_table(record, s, stage, contrasts)
        return
    at = np.array([contrasts.index(c) for c in stage.contrasts])
    probability = np.zeros(MAX_CONTRASTS)
    probability[at] = stage.probabilities
    record.cumulative[s] = _cumulative(probability)
    if stage.blocks:
        record.blocked[s] = True
        for name in ("first", "probability", "mean", "low", "high"):
            record[f"block_{name}"][s] = getattr(stage.blocks, name)
        if stage.blocks.balanced:
            record.block_balance[s, 2 * at] = stage.balance
            record.block_balance[s, 2 * at + 1] = stage.balance


def _fill_table(record: Record, s: int, stage: Stage, contrasts: tuple[float, ...]) -> None:
    """Write the contingency table of stage number s."""
    cells = [2 * contrasts.index(row.contrast) + (row.side == "right") for row in stage.contingencies]
    probability = np.zeros(2 * MAX_CONTRASTS)
    probability[cells] = [row.probability for row in stage.contingencies]
    record.tabled[s] = True
    record.cell_cumulative[s] = _cumulative(probability / probability.sum())
    record.cell_reward[s, cells] = [row.reward_ul for row in stage.contingencies]
