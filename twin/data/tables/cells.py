"""What a value means. Functions of a text return its meaning, or raise ValueError saying what was expected."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import NamedTuple

import numpy as np

from twin.data.rollout import TASKS

MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "null", "none", "nat"})
NO_CHOICE = frozenset({"none", "no-go", "nogo", "no_go", "miss", "timeout"})
SIDES = {"l": 0, "left": 0, "r": 1, "right": 1}
OUTCOMES = {"true": 1, "t": 1, "yes": 1, "correct": 1, "hit": 1, "rewarded": 1}
OUTCOMES |= {"false": 0, "f": 0, "no": 0, "error": 0, "incorrect": 0, "miss": 0, "unrewarded": 0}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$")
FRACTION = "(as a fraction, not in percent)"


class NotANumber(ValueError):
    """A value is none; the row, in its block."""

    def __init__(self, row: int) -> None:
        """Keep the row."""
        super().__init__("a number")
        self.row = row


class Range(NamedTuple):
    """Numbers that a quantity may have, in words too; None of `missing` where there must be one."""

    low: float
    high: float
    expected: str
    missing: bool = True


NUMBERS = {
    "left": Range(-1, 1, f"a contrast between 0 and 1 {FRACTION}"),
    "right": Range(-1, 1, f"a contrast between 0 and 1 {FRACTION}"),
    "stimulus": Range(-1, 1, f"a signed contrast between -1 and 1 {FRACTION}, negative on the left, 0 for none", missing=False),
    "probability_left": Range(0, 1, f"a probability between 0 and 1 {FRACTION}"),
    "response_time": Range(0, 1e6, "seconds from the stimulus to the choice, 0 or more"),
    "response_at": Range(-1e10, 1e10, "seconds since the session began"),
    "stimulus_at": Range(-1e10, 1e10, "seconds since the session began"),
    "start_time": Range(-1e10, 1e10, "seconds since the session began"),
    "trial": Range(-1e15, 1e15, "the number of the trial in its session"),
    "water_ul": Range(0, 1e4, "microlitres, 0 or more"),
    "weight_g": Range(0, 1e3, "grams"),
}


def is_missing(text: str) -> bool:
    """Does a cell say that there is no value?"""
    return text.strip().lower() in MISSING


def number(text: str) -> float:
    """A number, NaN if there is none; a comma may stand for the point (only cells of tables separated by others hold one)."""
    cleaned = text.strip().lower()
    if cleaned in MISSING:
        return math.nan
    cleaned = cleaned.replace(",", ".")
    if not _NUMBER.match(cleaned):
        raise ValueError("a number")
    return float(cleaned)


def first_outside(values: np.ndarray, quantity: str) -> int | None:
    """The first row whose number a quantity may not have."""
    allowed = NUMBERS[quantity]
    wrong = (values < allowed.low) | (values > allowed.high)
    if not allowed.missing:
        wrong |= np.isnan(values)
    return int(np.argmax(wrong)) if wrong.any() else None


def side(text: str) -> int:
    """-1 left, +1 right, by a word or the sign of a number; 0 for an empty cell."""
    word = text.strip().lower()
    if word in SIDES:
        return 2 * SIDES[word] - 1
    value = number(text)
    return 0 if math.isnan(value) else int(np.sign(value))


def truth(text: str) -> int:
    """1 for true or a number above 0, 0 for false, 0 or an empty cell."""
    word = text.strip().lower()
    if word in OUTCOMES:
        return OUTCOMES[word]
    return int(number(text) > 0)


def task(text: str) -> int:
    """Which of TASKS a name such as `_iblrig_tasks_trainingChoiceWorld6.4.2` is; -1: none."""
    word = text.lower()
    return next((code for code, name in enumerate(TASKS) if name.removesuffix("ChoiceWorld") in word), -1)


def day(text: str) -> datetime | None:
    """A date, with the time of day if it has one; None if it is not year, month, day in this order."""
    written = text.strip().replace("/", "-")
    if not re.match(r"\d{4}-?\d\d-?\d\d", written):
        return None
    if not written[:8].isdigit():
        written = re.sub(r"(\.\d{6})\d+", r"\1", written)  # nanoseconds
    try:
        return datetime.fromisoformat(written).replace(tzinfo=None)
    except ValueError:
        return None
