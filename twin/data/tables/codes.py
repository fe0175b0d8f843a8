"""Which value of the choice is left, and which of the outcome is a reward.

Words say it themselves. Numbers are told by the data: under the codes that are meant every rewarded choice is to the side of
the stimulus, and every other is not. Where the data leave several, the names decide if the outcome is there too (in the IBL's
tables 1 is left, in the others -1), or else whoever asks for the table, with `choice_left`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from twin.data.tables import cells
from twin.data.tables.layout import shown
from twin.data.tables.names import Asked
from twin.data.tables.parsing import Table

NOT_TOLD = -2  # choice of an empty cell
UNKNOWN = -1  # reward of an empty cell
Codes = dict[float, int]  # number of a choice -> 0 left, 1 right, -1 none
IBL_CODES: Codes = {1: 0, -1: 1, 0: -1}
OWN_CODES: Codes = {-1: 0, 1: 1, 0: -1}
KNOWN_CODES: tuple[Codes, ...] = (OWN_CODES, IBL_CODES, {0: 0, 1: 1}, {0: 1, 1: 0}, {1: 0, 2: 1}, {1: 1, 2: 0})
ASK = "say which value is left with --choice-left VALUE (choice_left=VALUE)"


def rewards(table: Table) -> np.ndarray:
    """Reward of each row, (N,) int8: 1, 0, or UNKNOWN; a 0 beside -1, which the IBL has for no error, is unknown too."""
    if "outcome" not in table.layout.at:
        return np.full(len(table), UNKNOWN, np.int8)
    texts = [text.lower() for text in table.labels["outcome"]]
    values = {text: _number(text) for text in texts}
    signed = -1.0 in values.values()
    meaning = np.empty(len(texts), np.int8)
    for i, text in enumerate(texts):
        value = values[text]
        if cells.is_missing(text) or (signed and value == 0):
            meaning[i] = UNKNOWN
        elif text in cells.OUTCOMES:
            meaning[i] = cells.OUTCOMES[text]
        elif value in (-1.0, 0.0, 1.0):
            meaning[i] = int(value == 1)
        else:
            table.wrong(_first(table, "outcome", i), "outcome", "1 rewarded, 0 or -1 not; or True, False")
    found: np.ndarray = meaning[table.columns["outcome"]]
    return found


def choices(table: Table, side: np.ndarray, reward: np.ndarray, asked: Asked) -> np.ndarray:
    """Choice of each row, (N,) int8: 0 left, 1 right, -1 none, NOT_TOLD.

    `side` (N,): that of the stimulus, 0 where it has no contrast or none is told.
    """
    texts = table.labels["choice"]
    numbers = {text: _number(text) for text in texts}
    meaning: dict[str, int] = {}
    for text in texts:
        word = text.lower()
        if word in cells.SIDES:
            meaning[text] = cells.SIDES[word]
        elif word in cells.NO_CHOICE:
            meaning[text] = -1
        elif cells.is_missing(text):
            meaning[text] = NOT_TOLD
    left = [text for text in texts if text not in meaning]
    if asked.choice_left is not None:
        meaning |= _asked(table, left, numbers, asked.choice_left)
    elif asked.codes is not None:
        meaning |= _fixed(table, left, numbers, asked.codes)
    elif left:
        codes = _codes(table, left, numbers, side, reward)
        meaning |= {text: codes[number] for text in left if (number := numbers[text]) is not None}
    found: np.ndarray = np.array([meaning[text] for text in texts], np.int8)[table.columns["choice"]]
    return found


def _fixed(table: Table, texts: list[str], numbers: dict[str, float | None], codes: Mapping[float, int]) -> dict[str, int]:
    """What the codes of a format make of the values that no word explains."""
    meaning = {}
    for text in texts:
        number = numbers[text]
        if number not in codes or number is None:
            _wrong(table, text, f"one of {', '.join(f'{code:g}' for code in codes)}")
        meaning[text] = codes[number]
    return meaning


def _number(text: str) -> float | None:
    try:
        value = cells.number(text)
    except ValueError:
        return None
    return None if np.isnan(value) else value


def _first(table: Table, quantity: str, label: int) -> int:
    return int(np.argmax(table.columns[quantity] == label))


def _wrong(table: Table, text: str, expected: str) -> NoReturn:
    table.wrong(_first(table, "choice", table.labels["choice"].index(text)), "choice", expected)


def _asked(table: Table, texts: list[str], numbers: dict[str, float | None], asked: str) -> dict[str, int]:
    """What a user's word makes of the values that no word explains: the one asked for is left, 0 beside two others none."""
    value = _number(asked)

    def is_left(text: str) -> bool:
        return text == asked or (value is not None and numbers[text] == value)

    others = [text for text in texts if not is_left(text)]
    none = [text for text in others if numbers[text] == 0] if len({numbers[t] or t for t in others}) > 1 and value != 0 else []
    right = [text for text in others if text not in none]
    if len({t if numbers[t] is None else numbers[t] for t in right}) > 1:
        if len(others) == len(texts):
            there = ", ".join(shown(text) for text in texts[:5])
            _wrong(table, texts[0], f"{shown(asked)} among the values, since it was said to be left; there are {there}")
        _wrong(table, right[-1], f"one value beside {shown(asked)}, which was said to be left, and 0 or nothing for no choice")
    return {text: 0 if is_left(text) else -1 if text in none else 1 for text in texts}


def _codes(
    table: Table, texts: list[str], numbers: dict[str, float | None], side: np.ndarray, reward: np.ndarray
) -> dict[float, int]:
    """The codes that the rows agree with. Raises ValueError if several do and the names do not decide."""
    usual = IBL_CODES if table.layout.ibl else OWN_CODES
    words = "one of -1, 1, 0, or 0, 1, or 1, 2, or L, R, none"
    for text in texts:
        if numbers[text] not in (-1.0, 0.0, 1.0, 2.0):
            _wrong(table, text, f"{words}; of other codes {ASK}")
    there = {number for text in texts if (number := numbers[text]) is not None}
    possible = [codes for codes in KNOWN_CODES if there <= codes.keys()]
    if not possible:
        _wrong(table, next(text for text in texts if numbers[text] == 2), f"{words}, not several of these together; {ASK}")
    wrong = [_disagreements(table, codes, numbers, side, reward) for codes in possible]
    best = [codes for codes, n in zip(possible, wrong, strict=True) if n == min(wrong)]
    if usual in best and ("outcome" in table.layout.at or there == {0.0}):
        return usual
    if len(best) > 1 and _differ(best, there):
        if min(wrong) > 0 and usual in possible:
            return usual
        _wrong(table, min(texts, key=lambda text: abs(numbers[text] or 0)), f"L or R, or codes that the rewards explain; {ASK}")
    left = next(number for number, choice in best[0].items() if choice == 0)
    if best[0] != usual or "outcome" not in table.layout.at:
        table.notes.append(f"a choice of {left:g} is taken for left, as the rewards tell")
    return best[0]


def _differ(several: list[Codes], there: set[float]) -> bool:
    return any(codes[number] != several[0][number] for codes in several for number in there)


def _disagreements(table: Table, codes: Codes, numbers: dict[str, float | None], side: np.ndarray, reward: np.ndarray) -> int:
    """Rows of known side and reward in which a choice to the side is not rewarded, or another is."""
    labels = table.labels["choice"]
    meaning = np.array([NOT_TOLD if numbers[t] is None else codes.get(numbers[t] or 0.0, NOT_TOLD) for t in labels], np.int8)
    choice = meaning[table.columns["choice"]]
    known = (side != 0) & (reward != UNKNOWN) & (choice != NOT_TOLD)
    return int(
        np.count_nonzero(known & ((2 * choice - 1 == side) != (reward == 1))) + np.count_nonzero((choice == -1) & (reward == 1))
    )
