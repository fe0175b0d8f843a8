"""Sessions: when one ends, and what carries over to the next.

Rig 8 stores the stage alone, from sessions of more than 42 trials; performance buffers, counters and the response history
start afresh. Rigs 4-7 reload the performance buffers and the stage's counter as well. Both adapt the reward volume to the
water the mouse had and lower the gain of the wheel once it does enough trials. Sources: iblrig 8.24.7 `choiceworld.py`,
`base_choice_world.py`; iblrig 6.2.5 `adaptive.py`, `misc.py`.
"""

from __future__ import annotations

import numpy as np

from envs.compiled import kernel
from envs.protocol_record import ADAPTS
from envs.records import Record
from envs.task.slowing import forget_response_times, slowing
from envs.task.state import MOUSE_DTYPE

NEVER, RIG_2019, RIG_V8 = range(len(ADAPTS))
LONG_SESSION = 200  # trials from which reward and gain go down
G_PER_ML = 25.0  # body weight for which a day's water is one millilitre
REWARD_STEP_UL = 0.1


@kernel
def session_over(protocol: Record, mouse: Record) -> bool:
    """Has the current session come to its end? Called once a trial is scored, and harmless before the first."""
    trials = mouse.session_trial
    minutes = mouse.clock / 60.0
    if trials >= protocol.session_trials:
        return True
    if protocol.few_minutes > 0.0 and trials <= protocol.few_trials and minutes >= protocol.few_minutes:
        return True
    may_slow = protocol.slow_factor > 0.0 and trials > protocol.few_trials and minutes >= protocol.slow_minutes
    if may_slow and slowing(mouse, protocol.slow_factor):
        return True
    return protocol.session_minutes > 0.0 and minutes >= protocol.session_minutes


@kernel
def sessions_done(protocol: Record, mouse: Record) -> int:
    """Sessions that the mouse has completed."""
    return mouse.session + (1 if session_over(protocol, mouse) else 0)


@kernel
def adapted_reward(
    rule: int, reward_ul: float, weight_g: float, water_ul: float, trials: int, low_ul: float, high_ul: float
) -> float:
    """Reward volume (microlitres) after a session of `trials` trials and `water_ul` of water."""
    thirsty = weight_g > water_ul / 1000.0 * G_PER_ML
    if rule == RIG_V8:
        change = REWARD_STEP_UL if thirsty else (-REWARD_STEP_UL if trials > LONG_SESSION else 0.0)
        return min(max(reward_ul + change, low_ul), high_ul)
    if rule == RIG_2019:
        if thirsty:
            return min(reward_ul + REWARD_STEP_UL, high_ul)
        if trials >= LONG_SESSION:
            return max(reward_ul - REWARD_STEP_UL, low_ul)
    return reward_ul


@kernel
def adapted_gain(rule: int, gain: float, trials: int, responses: int, first_gain: float, trained_gain: float) -> float:
    """Gain of the wheel after a session of `trials` trials, `responses` of them no no-go."""
    if rule == RIG_V8:
        return trained_gain if responses > LONG_SESSION else gain
    if rule == RIG_2019:
        return trained_gain if trials >= LONG_SESSION else first_gain
    return gain


@kernel
def _adapt(protocol: Record, mouse: Record) -> None:
    """Set reward volume and gain of the next session by what was done in this one."""
    trials = mouse.session_trial
    mouse.reward_ul = adapted_reward(
        protocol.adapts,
        mouse.reward_ul,
        protocol.body_weight_g,
        mouse.water_ul,
        trials,
        protocol.reward_low_ul,
        protocol.reward_high_ul,
    )
    mouse.gain = adapted_gain(protocol.adapts, mouse.gain, trials, mouse.n_responses, protocol.gain, protocol.trained_gain)


@kernel
def next_session(protocol: Record, mouse: Record) -> None:
    """Put the mouse at the start of its next session: what carries over is kept, the rest starts afresh."""
    if mouse.session_trial >= protocol.history_trials:
        mouse.kept_stage = mouse.stage
        _adapt(protocol, mouse)
    if not protocol.keeps_performance:
        mouse.stage = mouse.kept_stage
        mouse.stage_trials = 0
        mouse.outcomes[:] = 0
    mouse.session += 1
    mouse.session_trial = 0
    mouse.responses = 0
    mouse.n_responses = 0
    mouse.left_responses = 0
    mouse.wrong = False
    mouse.held = -1
    mouse.block_length = 0
    mouse.balance_total = 0
    mouse.clock = 0.0
    mouse.water_ul = 0.0
    forget_response_times(mouse)


def new_mice(protocol: Record, keys: np.ndarray, stage: int = 0) -> np.ndarray:
    """Rig records of mice on their first day, (mice,).

    `protocol` is a Protocol's record, `keys` (mice,) come from `envs.draws.mouse_key`.
    """
    mice = np.zeros(len(keys), MOUSE_DTYPE)
    mice["key"] = keys
    mice["stage"] = mice["kept_stage"] = stage
    mice["held"] = -1
    mice["reward_ul"] = protocol["reward_ul"]
    mice["gain"] = protocol["gain"]
    return mice


def moved_mice(protocol: Record, mice: np.ndarray) -> np.ndarray:
    """Rig records (M,) of mice that begin another protocol the next day.

    The mouse's key and its counts of trials and sessions go on; stage, buffers, reward volume and gain start as that
    protocol starts them, as on a rig whose task is changed.
    """
    records = new_mice(protocol, mice["key"])
    records["trial"] = mice["trial"]
    records["session"] = mice["session"] + 1
    return records
