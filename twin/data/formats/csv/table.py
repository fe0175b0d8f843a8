"""The rows of a table as trials: every cell parsed, every row checked against itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import numpy as np

from twin.data.formats.csv import cells
from twin.data.formats.csv.layout import Layout, shown
from twin.data.formats.csv.source import Block, Source

TEXTS = ("subject", "session", "date")
KINDS = {
    "subject": "int32",
    "session": "int32",
    "date": "int32",
    "trial": "float64",
    "contrast": "float32",
    "side": "int8",
    "choice": "int8",
    "reward": "int8",
    "probability_left": "float32",
    "response_time": "float32",
}


@dataclass
class Table:
    """Columns of a table, (N,) each, in the order of the file; `subject`, `session` and `date` are numbers of `labels`."""

    source: Source
    layout: Layout
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)  # without blanks at either end, in order of appearance
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns["choice"])

    def number(self, row: int) -> int:
        """Number in the file of a row of the columns."""
        return self.source.find(row, list(self.layout.at.values()))[0]

    def wrong(self, row: int, quantity: str, expected: str) -> NoReturn:
        """Raise ValueError naming file, row and column of a cell."""
        number, there = self.source.find(row, list(self.layout.at.values()))
        at = self.layout.at[quantity]
        raise ValueError(
            f"{self.source.path}, row {number}, column {self.source.header[at]!r}: {shown(there.get(at, '?').strip())}; "
            f"expected {expected}"
        )


def read_table(source: Source, layout: Layout) -> Table:
    """All rows of a file. Raises ValueError naming the row and the column of what is wrong."""
    table = Table(source, layout)
    numbers: dict[str, dict[str, int]] = {name: {} for name in TEXTS if name in layout.at}
    grown: dict[str, bytearray] = {}  # these grow where they are; a list of arrays would need twice the memory in the end
    counts = dict.fromkeys(("blanks", "not_told", "derived", "unknown"), 0)
    start = 0
    for block in source.blocks(list(layout.at.values())):
        values = _parsed(table, block, start, numbers, counts)
        _finished(table, values, start, counts)
        for name, column in values.items():
            grown.setdefault(name, bytearray()).extend(column.astype(KINDS[name]).tobytes())
        start += len(values["choice"])
    if start == 0:
        raise ValueError(f"{source.path}: {min(1, len(source.header))} rows; expected a header and at least one trial")
    for name in list(grown):
        table.columns[name] = narrow(np.frombuffer(grown.pop(name), KINDS[name]))
    table.labels = {name: list(known) for name, known in numbers.items()}
    _check_codes(table)
    table.notes += _sentences(counts)
    return table


def narrow(column: np.ndarray) -> np.ndarray:
    """Whole numbers in no more bytes than they need, for there are millions; others, and columns of a rollout, as they are."""
    low, high = column.min(), column.max()
    if column.dtype in (np.int8, np.float32) or not np.isfinite([low, high]).all():
        return column
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            narrower = column.astype(kind)
            return narrower if np.array_equal(narrower, column) else column
    return column


def _parsers(layout: Layout) -> dict[str, Callable[[str], float]]:
    return {
        "left": cells.contrast,
        "right": cells.contrast,
        "stimulus": cells.stimulus,
        "choice": partial(cells.choice, codes=layout.dialect.choices),
        "outcome": partial(cells.outcome, codes=layout.dialect.outcomes),
        "probability_left": cells.probability,
        "response_time": cells.seconds,
        "trial": cells.trial,
    }


def _parsed(
    table: Table, block: Block, start: int, numbers: dict[str, dict[str, int]], counts: dict[str, int]
) -> dict[str, np.ndarray]:
    """The value of every cell of a block."""
    values: dict[str, np.ndarray] = {}
    parsers = _parsers(table.layout)
    for quantity, texts, codes in zip(table.layout.at, block.texts, block.codes, strict=True):
        meaning: np.ndarray
        if quantity in numbers:
            known = numbers[quantity]
            counts["blanks"] += quantity == "subject" and any(text != text.strip() for text in texts)
            meaning = np.array([known.setdefault(text.strip(), len(known)) for text in texts], np.int32)
        else:
            meaning = np.empty(len(texts))
            for i, text in enumerate(texts):
                try:
                    meaning[i] = parsers[quantity](text)
                except ValueError as error:
                    table.wrong(start + int(np.argmax(codes == i)), quantity, str(error))
        values[quantity] = meaning[codes]
    return values


def _finished(table: Table, values: dict[str, np.ndarray], start: int, counts: dict[str, int]) -> None:
    """Put contrast, side and reward in the place of what they are told by; changes `values`, `counts`."""

    def refuse(where: np.ndarray, quantity: str, expected: str) -> None:
        if where.any():
            table.wrong(start + int(np.argmax(where)), quantity, expected)

    if table.layout.signed:
        contrast, marked = values.pop("stimulus"), np.zeros(len(values["choice"]))
    else:
        left, right = values.pop("left"), values.pop("right")
        neither = np.isnan(left) & np.isnan(right)
        refuse(neither, "left", "a contrast on one side, 0 for none; both are empty")
        refuse((left > 0) & (right > 0), "right", "0 or nothing, since there is a contrast on the left; or a signed 'stimulus'")
        contrast = np.nan_to_num(right) - np.nan_to_num(left)
        marked = np.where(np.isnan(left), 1.0, np.where(np.isnan(right), -1.0, 0.0))
    n = len(contrast)
    told = values["choice"] != cells.NOT_TOLD
    choice = np.where(told, values["choice"], -1).astype(np.int8)
    reward = values.pop("outcome", np.full(n, cells.UNKNOWN)).astype(np.int8)
    left_likelier = values.get("probability_left", np.full(n, np.nan)) > 0.5
    refuse((choice < 0) & (reward == 1), "choice", "a choice, since the trial was rewarded")
    side = _sides(contrast, marked, choice, reward, left_likelier)
    right_choice = 2 * choice - 1 == side
    disagrees = (choice >= 0) & (reward >= 0) & (side != 0) & (right_choice != (reward == 1))
    refuse(disagrees, "choice", "a choice that agrees with the stimulus and the outcome of its row")
    silent = reward == cells.UNKNOWN
    derived = np.where(choice < 0, 0, np.where(side == 0, cells.UNKNOWN, right_choice))
    counts["not_told"] += int((~told).sum())
    counts["derived"] += int((silent & (derived >= 0)).sum()) if "outcome" in table.layout.at else 0
    counts["unknown"] += int((derived[silent] < 0).sum())
    values |= {"contrast": contrast, "side": side, "choice": choice, "reward": np.where(silent, derived, reward)}


def _sides(
    contrast: np.ndarray, marked: np.ndarray, choice: np.ndarray, reward: np.ndarray, left_likelier: np.ndarray
) -> np.ndarray:
    """Rewarded side of each trial, +1 right, -1 left; 0 where it is not known.

    At zero contrast it is the one whose contrast is a number where the other is left empty (`marked`), or follows from choice
    and reward. Without a choice, the likelier side stands for an unknowable one.
    """
    side = np.sign(contrast).astype(np.int8)
    zero = side == 0
    side = np.where(zero, marked, side).astype(np.int8)
    unmarked = side == 0
    chosen = (2 * choice - 1).astype(np.int8)
    told = unmarked & (choice >= 0) & (reward >= 0)
    side[told] = np.where(reward[told] == 1, chosen[told], -chosen[told])
    none = unmarked & (choice < 0)
    side[none] = np.where(left_likelier[none], -1, 1)
    return side


def _check_codes(table: Table) -> None:
    """Without outcomes nothing shows that 0 means left, or that contrasts have no sign, unless one code is never there."""
    choice, contrast = table.columns["choice"], table.columns["contrast"]
    if table.layout.signed and np.count_nonzero(contrast) >= 10 and not (contrast < 0).any():
        table.wrong(
            int(np.argmax(contrast > 0)), "stimulus", "negative contrasts for stimuli on the left; there are none at all"
        )
    one_side = (choice == 0).any() != (choice == 1).any()
    if "outcome" in table.layout.at or not one_side or not (choice == -1).any():
        return
    table.wrong(int(np.argmax(choice == -1)), "choice", "L or R, or codes for both; here 0 may mean left or none")


def _sentences(counts: dict[str, int]) -> list[str]:
    notes = []
    if counts["blanks"]:
        notes.append("blanks at the ends of the names of mice are left out")
    if counts["not_told"]:
        notes.append(f"{counts['not_told']} trials have no choice (empty or NA): taken for trials without a response")
    if counts["derived"]:
        notes.append(f"{counts['derived']} trials have no outcome: it follows from stimulus and choice")
    if counts["unknown"]:
        notes.append(
            f"{counts['unknown']} choices at zero contrast have an unknown reward: they are kept, but count in no fit, and "
            f"nothing is learned from them"
        )
    return notes
