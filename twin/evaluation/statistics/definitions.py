"""Every summary statistic. Standard deviations are those of the mice at hand (n - 1).

Published ones, as the IBL or others who read its public data define them: proficiency, easy errors and thresholds (IBL et al
2021, eLife 10:e63711), easy accuracy early and late, of choices alone, in mice that had six sessions or more. Win-stay and
lose-shift are those of sessions with blocks, in which they were published: there two of three trials in a row have the same
side, so that a mouse without errors stays after .68 of its rewards, against a half in training.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from twin.evaluation.statistics.choices import CONTRASTS
from twin.evaluation.statistics.mice import LEAST_SESSIONS, Floats, MouseNumbers
from twin.evaluation.statistics.registry import Compute, statistic

STRONG_BIAS = 0.25  # side bias of a mouse that goes one way in three of four easy trials, were sides as frequent
EARLY = 3  # sessions
IN_BLOCKS = (100.0, 25.0, 12.5, 6.25, 0.0)  # contrasts of biased sessions, %
SLOW, FAST = 0.6, 0.8  # easy performance between which a learning curve rises


def mean(values: Floats) -> float:
    """Mean of the values (M,) that are known."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def sd(values: Floats) -> float:
    """Standard deviation of the values (M,) that are known."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else np.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def _over_mice(column: str, summary: Callable[[Floats], float], place: int | None = None) -> Compute:
    """A summary over mice of a column of `MouseNumbers`, or of one place in it."""

    def compute(mice: MouseNumbers) -> float:
        values: Floats = getattr(mice, column)
        return summary(values if place is None else values[:, place])

    return compute


statistic("reach", "fraction", 0, 1, "mice that become proficient within the horizon")(_over_mice("reached", mean))

# Of which mean and standard deviation over mice are statistics: column, unit, low, high, meaning.
_OF_EACH_MOUSE = {
    "sessions_to_proficiency": ("sessions", "sessions", 1, inf, "sessions to trained_1a or 1b, of mice that get there"),
    "trials_to_proficiency": ("trials", "trials", 1, inf, "trials until then"),
    "easy_error_at_proficiency": ("easy_error", "fraction", 0, 0.2, "errors on easy trials, three sessions that led there"),
    "threshold_at_proficiency": ("threshold", "% contrast", 0, 20, "psychometric threshold in these sessions"),
    "threshold_in_training": ("training_threshold", "% contrast", 0, 100, "thresholds of single sessions of training"),
}
for _name, (_column, _unit, _low, _high, _doc) in _OF_EACH_MOUSE.items():
    statistic(_name, _unit, _low, _high, f"{_doc}: mean over mice")(_over_mice(_column, mean))
    statistic(f"{_name}_sd", _unit, 0, _high, f"{_doc}: sd over mice")(_over_mice(_column, sd))

_PROGRESSED = f"of choices, mice proficient in session {LEAST_SESSIONS} or later"
statistic("easy_accuracy_first3", "fraction", 0, 1, f"easy trials correct in the first three sessions, {_PROGRESSED}")(
    _over_mice("easy_first", mean)
)
statistic("easy_accuracy_last3", "fraction", 0, 1, "the same mice in the three sessions that led to proficiency")(
    _over_mice("easy_last", mean)
)


@statistic("trials_per_session", "trials", 0, inf, "trials of a session of training")
def trials_per_session(mice: MouseNumbers) -> float:
    sessions, trials, _ = mice.totals.sum(axis=0)
    return _ratio(trials, sessions)


@statistic("no_go", "fraction", 0, 1, "trials of training without a choice")
def no_go(mice: MouseNumbers) -> float:
    _, trials, no_gos = mice.totals.sum(axis=0)
    return _ratio(no_gos, trials)


def _win_stay(stays: Floats) -> float:
    rewards, same, _, _ = stays.sum(axis=0)
    return _ratio(same, rewards)


def _lose_shift(stays: Floats) -> float:
    _, _, errors, other = stays.sum(axis=0)
    return _ratio(other, errors)


_TRAINED = "three sessions that led to proficiency, repeats left out"
for _column, _ending, _where in (("stays_biased", "", "biased sessions"), ("stays_training", "_in_training", _TRAINED)):
    statistic(f"win_stay{_ending}", "fraction", 0, 1, f"same side chosen after a reward, {_where}")(
        _over_mice(_column, _win_stay)
    )
    statistic(f"lose_shift{_ending}", "fraction", 0, 1, f"other side chosen after an error, {_where}")(
        _over_mice(_column, _lose_shift)
    )

statistic(
    "bias_at_proficiency_sd", "% contrast", 0, 100, "psychometric bias in the sessions that led to proficiency: sd over mice"
)(_over_mice("bias", sd))


@statistic("bias_autocorrelation", "correlation", -1, 1, "side bias of a session of training with that of the next one")
def bias_autocorrelation(mice: MouseNumbers) -> float:
    pairs = np.stack([mice.side_bias[:, :-1].ravel(), mice.side_bias[:, 1:].ravel()])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 3 or min(np.ptp(pairs, axis=1)) == 0:
        return np.nan
    return float(np.corrcoef(*pairs)[0, 1])


def early_bias(mice: MouseNumbers) -> Floats:
    """Mean side bias of each mouse in its first three sessions, (M,); NaN unless all of them tell."""
    bias: Floats = mice.side_bias[:, :EARLY].mean(axis=1)
    return bias


@statistic("biased_early", "fraction", 0, 1, f"mice with a mean side bias beyond {STRONG_BIAS} in their first three sessions")
def biased_early(mice: MouseNumbers) -> float:
    bias = early_bias(mice)
    return mean(np.where(np.isfinite(bias), np.abs(bias) > STRONG_BIAS, np.nan))


@statistic("biased_early_right", "fraction", 0, 1, "of these mice, those that prefer the right")
def biased_early_right(mice: MouseNumbers) -> float:
    bias = early_bias(mice)
    return mean((bias[np.abs(bias) > STRONG_BIAS] > 0).astype(float))


for _level in IN_BLOCKS:
    _at, _i = f"{_level:g}".replace(".", "_"), CONTRASTS.index(_level)
    _where = f"at {_level:g} % contrast, biased sessions: mean over mice"
    statistic(f"accuracy_{_at}", "fraction", 0, 1, f"choices correct {_where}")(_over_mice("accuracy", mean, _i))
    statistic(f"response_time_{_at}", "s", 0, inf, f"median response time {_where}")(_over_mice("response_time", mean, _i))


@statistic("sessions_from_60_to_80", "sessions", 0, inf, "rise of the mean learning curve aligned at proficiency, easy trials")
def sessions_from_60_to_80(mice: MouseNumbers) -> float:
    curve = aligned_curve(mice)
    return _crossing(curve, SLOW) - _crossing(curve, FAST)


def aligned_curve(mice: MouseNumbers) -> Floats:
    """Mean easy performance of proficient mice 0, 1, ... sessions before they became so; (D,), NaN where none had it."""
    there, days = np.flatnonzero(mice.reached > 0), np.arange(mice.easy.shape[1])
    back = mice.sessions[there].astype(int)[:, None] - 1 - days
    values = np.where(back >= 0, mice.easy[there[:, None], np.maximum(back, 0)], np.nan)
    known = np.isfinite(values).sum(axis=0)
    curve: Floats = np.where(known > 0, np.nansum(values, axis=0) / np.maximum(known, 1), np.nan)
    return curve


def _crossing(curve: Floats, level: float) -> float:
    """How long before proficiency a curve (D,), latest first, rises through a level, linear between sessions; NaN if never."""
    below = np.flatnonzero(curve < level)
    if not len(below) or below[0] == 0:
        return np.nan
    b = int(below[0])
    return float(b - (level - curve[b]) / (curve[b - 1] - curve[b]))
