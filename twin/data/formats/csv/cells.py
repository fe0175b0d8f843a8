"""What the text of a cell means. Each function returns the value, or raises ValueError saying what was expected."""

from __future__ import annotations

import math
import re
from datetime import datetime

MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "null", "none"})
UNKNOWN = -1  # reward that is not told
NOT_TOLD = -2  # choice that is not told
WORDS = {"l": 0, "left": 0, "r": 1, "right": 1, "none": -1, "no-go": -1, "nogo": -1, "no_go": -1}
BOOLEANS = {"true": 1, "t": 1, "yes": 1, "false": 0, "f": 0, "no": 0}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$")
FRACTION = "(as a fraction, not in percent)"


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


def contrast(text: str) -> float:
    """A contrast on one side, NaN if there is none."""
    return _within(number(text), 0.0, 1.0, f"a contrast between 0 and 1 {FRACTION}")


def stimulus(text: str) -> float:
    """A signed contrast."""
    value = _within(number(text), -1.0, 1.0, f"a signed contrast between -1 and 1 {FRACTION}, negative on the left")
    if math.isnan(value):
        raise ValueError("a signed contrast between -1 and 1, 0 where no stimulus is shown")
    return value + 0.0  # no negative zero


def probability(text: str) -> float:
    """A probability, NaN if there is none."""
    return _within(number(text), 0.0, 1.0, f"a probability between 0 and 1 {FRACTION}")


def seconds(text: str) -> float:
    """A response time, NaN if there is none."""
    return _within(number(text), 0.0, 1e6, "seconds from the stimulus to the choice, 0 or more")


def trial(text: str) -> float:
    """The number of a trial, NaN if there is none."""
    return _within(number(text), -1e15, 1e15, "the number of the trial in its session")


def _within(value: float, low: float, high: float, expected: str) -> float:
    if value < low or value > high:
        raise ValueError(expected)
    return value


def choice(text: str, codes: dict[float, int]) -> int:
    """0 left, 1 right, -1 none, NOT_TOLD for an empty cell; codes of numbers are those of the dialect."""
    word = text.strip().lower()
    if word in WORDS:
        return WORDS[word]
    return NOT_TOLD if word in MISSING else _coded(word, codes, ", or L, R, none")


def outcome(text: str, codes: dict[float, int]) -> int:
    """1 rewarded, 0 not, UNKNOWN for an empty cell; codes of numbers are those of the dialect."""
    word = text.strip().lower()
    if word in MISSING:
        return UNKNOWN
    return BOOLEANS[word] if word in BOOLEANS else _coded(word, codes, ", or True, False")


def _coded(word: str, codes: dict[float, int], others: str) -> int:
    try:
        return codes[number(word)]
    except (KeyError, ValueError):
        raise ValueError(f"one of {', '.join(f'{code:g}' for code in codes)}{others}") from None


def day(text: str) -> datetime | None:
    """A date, with the time of day if it has one; None if it is not year, month, day in this order."""
    written = text.strip().replace("/", "-")
    if not re.match(r"\d{4}-?\d\d-?\d\d", written):
        return None
    try:
        return datetime.fromisoformat(written).replace(tzinfo=None)
    except ValueError:
        return None
