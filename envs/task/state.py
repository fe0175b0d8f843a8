"""The rig's state for one mouse: one numpy record, changed in place by the functions of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from envs.protocol_record import MAX_CONTRASTS
from envs.records import record_dtype

RECENT = 20  # response times whose median tells that a mouse slows down (iblrig 6, session end)
TIME_BINS = 256  # of the histogram of a session's response times (see envs.task.slowing)


@dataclass(frozen=True)
class MouseRecord:
    """The state; volumes in microlitres, times in seconds."""

    key: np.uint64
    trial: np.int64  # trials of this mouse so far, over all sessions
    session: np.int64
    session_trial: np.int64
    # the current trial
    contrast_index: np.int64
    contrast: np.float32  # signed, positive = right
    side: np.int8  # +1 right, -1 left: the rewarded side, also at zero contrast
    probability_left: np.float64  # as the rig stores it
    is_repeat: np.bool_
    quiescence: np.float64
    start_time: np.float64  # since the start of the session
    # and how it ended, as the rig takes it
    choice: np.int8  # 0 left, 1 right, -1 no-go
    response_time: np.float64  # from stimulus onset
    drop_ul: np.float64  # water given
    # stage (envs.task.stages)
    stage: np.int64
    kept_stage: np.int64  # stage at the end of the last session that was long enough to count
    stage_trials: np.int64  # trials in this stage that count
    outcomes: Annotated[np.uint64, (2, MAX_CONTRASTS)]  # last 50 outcomes as bits, [right?, contrast]
    # debiasing (envs.task.debias)
    wrong: np.bool_  # was the previous trial of this session one that debiasing repeats after?
    responses: np.uint64  # last responses of this session as bits, left = 1, newest lowest
    n_responses: np.int64  # of this session, no-gos left out
    left_responses: np.int64
    held: np.int64  # rigs 4-7: contrast held until a chain of repeats ends, -1 outside of a chain
    held_left: np.float64  # and P(left) of the side it will be shown on
    # blocks (envs.task.blocks)
    block: np.int64
    block_trial: np.int64
    block_length: np.int64  # 0: no block yet in this session
    block_left: np.float64
    balance: Annotated[np.int64, (2 * MAX_CONTRASTS,)]  # trials of each cell still due in a balanced block
    balance_total: np.int64
    # session (envs.task.session, envs.task.slowing)
    clock: np.float64  # since the start of the session
    recent_times: Annotated[np.float32, (RECENT,)]
    time_counts: Annotated[np.uint16, (TIME_BINS,)]
    median_bin: np.int64
    below_median: np.int64
    water_ul: np.float64  # given in this session
    reward_ul: np.float64  # of one reward, in this session
    gain: np.float64


MOUSE_DTYPE = record_dtype(MouseRecord)
