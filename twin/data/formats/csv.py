"""Behaviour from csv files, one row per trial, plain or gzipped.

Two layouts, told apart by their columns:

- `contrast_left, contrast_right, choice, correct, probability_left` with choice -1 = reports left, +1 = reports right;
- `contrastLeft, contrastRight, choice, feedbackType, probabilityLeft`, the ALF names of the International Brain Laboratory as
  used by the Pillow lab's scripts, with choice +1 = wheel clockwise = reports LEFT, -1 = reports right, 0 = no-go.

Both need `subject`, `session` and `date`. Rows of one subject are taken in the order of the file.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs.names import nearest
from twin.data.rollout import COLUMNS, REQUIRED, Rollout


class Layout(NamedTuple):
    """Names of a layout's columns, and what its choices and outcomes mean."""

    left: str
    right: str
    outcome: str
    probability_left: str
    choices: dict[float, int]  # as written -> 0 left, 1 right, -1 no-go
    outcomes: dict[float, int]  # as written -> reward


LAYOUTS = (
    Layout("contrast_left", "contrast_right", "correct", "probability_left", {-1: 0, 1: 1, 0: -1}, {0: 0, 1: 1}),
    Layout("contrastLeft", "contrastRight", "feedbackType", "probabilityLeft", {1: 0, -1: 1, 0: -1}, {-1: 0, 1: 1, 0: 0}),
)


def read_csv(path: str | Path) -> Rollout:
    """Every mouse of a csv file.

    Raises FileNotFoundError, or ValueError naming the file, and the missing column with its nearest name or the row and
    column of the wrong value.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a csv file of trials")
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else open(path, newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise ValueError(f"{path}: {len(rows)} rows; expected a header and at least one trial")
    header, body = rows[0], rows[1:]
    layout = LAYOUTS["contrastLeft" in header]
    _require(
        path,
        header,
        ("subject", "session", "date", layout.left, layout.right, "choice", layout.outcome, layout.probability_left),
    )
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(row)} values; the header names {len(header)} columns")
    table = _Table(path, header, body)
    return _rollout(table, layout)


def _require(path: Path, header: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in header:
            near = nearest(name, header)
            hint = f"; the nearest there is {near!r}" if near else ""
            raise ValueError(f"{path}: column {name!r} is missing{hint}. Expected: {', '.join(needed)}")


class _Table(NamedTuple):
    path: Path
    header: list[str]
    body: list[list[str]]

    def text(self, column: str) -> np.ndarray:
        at = self.header.index(column)
        return np.array([row[at] for row in self.body])

    def numbers(self, column: str) -> np.ndarray:
        values = np.empty(len(self.body))
        for i, text in enumerate(self.text(column)):
            try:
                values[i] = float(text) if text.strip() else np.nan
            except ValueError:
                raise self.wrong(i, column, text, "a number") from None
        return values

    def contrasts(self, column: str) -> np.ndarray:
        values = self.numbers(column)
        for i in np.flatnonzero((values < 0) | (values > 1)).tolist():
            raise self.wrong(i, column, f"{values[i]:g}", "a contrast between 0 and 1 (as a fraction, not in percent)")
        return values

    def coded(self, column: str, codes: dict[float, int]) -> np.ndarray:
        values = self.numbers(column)
        out = np.zeros(len(values), np.int8)
        for i in np.flatnonzero(~np.isin(values, list(codes))).tolist():
            raise self.wrong(i, column, f"{values[i]:g}", f"one of {', '.join(f'{c:g}' for c in codes)}")
        for code, meaning in codes.items():
            out[values == code] = meaning
        return out

    def wrong(self, i: int, column: str, given: str, expected: str) -> ValueError:
        return ValueError(f"{self.path}, row {i + 2}, column {column!r}: {str(given)!r}; expected {expected}")


def _rollout(table: _Table, layout: Layout) -> Rollout:
    left, right = table.contrasts(layout.left), table.contrasts(layout.right)
    choice, reward = table.coded("choice", layout.choices), table.coded(layout.outcome, layout.outcomes)
    probability_left = table.numbers(layout.probability_left)
    side = _sides(table, left, right, choice, reward, probability_left)
    subject = table.text("subject")
    ids = tuple(dict.fromkeys(subject.tolist()))
    order = np.argsort(np.array([ids.index(s) for s in subject]), kind="stable") if len(ids) > 1 else np.arange(len(subject))
    mouse = np.array([ids.index(s) for s in subject[order]])
    day = [*zip(table.text("date")[order], table.text("session")[order], strict=True)]
    change = np.array([i > 0 and (mouse[i] == mouse[i - 1]) and day[i] != day[i - 1] for i in range(len(day))])
    starts = np.searchsorted(mouse, np.arange(len(ids) + 1))
    count = np.cumsum(change)
    signed = np.nan_to_num(right) - np.nan_to_num(left)
    values = (count - count[starts[mouse]], signed[order], side[order], choice[order], reward[order], probability_left[order])
    columns = {name: np.asarray(v, COLUMNS[name][0]) for name, v in zip(REQUIRED, values, strict=True)}
    return Rollout(columns, starts, ids, origin={"source": table.path.name, "format": "csv"})


def _sides(
    table: _Table, left: np.ndarray, right: np.ndarray, choice: np.ndarray, reward: np.ndarray, probability_left: np.ndarray
) -> np.ndarray:
    """Rewarded side of each trial, +1 right, -1 left; a row whose choice, outcome and stimulus disagree is refused."""
    signed = np.nan_to_num(right) - np.nan_to_num(left)
    side = np.sign(signed).astype(np.int8)
    chosen = 2 * choice.astype(int) - 1
    unclear = side == 0  # zero contrast: marked by the side that is a number, else told by choice and outcome
    marked = unclear & (np.isnan(left) != np.isnan(right))
    side[marked] = np.where(np.isnan(left[marked]), 1, -1)
    told = unclear & ~marked & (choice >= 0)
    side[told] = np.where(reward[told] == 1, chosen[told], -chosen[told])
    unknown = unclear & ~marked & (choice < 0)  # no choice at zero contrast: the likelier side stands for an unknowable one
    side[unknown] = np.where(probability_left[unknown] > 0.5, -1, 1)
    for i in np.flatnonzero((choice >= 0) & ((chosen == side) != (reward == 1))):
        raise table.wrong(
            int(i), "choice", table.text("choice")[i], "a choice that agrees with the stimulus and the outcome of its row"
        )
    for i in np.flatnonzero((choice < 0) & (reward == 1)):
        raise table.wrong(int(i), "choice", table.text("choice")[i], "a choice, since the trial was rewarded")
    return side
