"""Behaviour in csv files, one row per trial, plain or gzipped.

Two dialects, told apart by their columns:

- `contrast_left, contrast_right, choice, correct, probability_left` with choice -1 = reports left, +1 = reports right;
- `contrastLeft, contrastRight, choice, feedbackType, probabilityLeft`, the ALF names of the International Brain Laboratory as
  used by the Pillow lab's scripts, with choice +1 = wheel clockwise = reports LEFT, -1 = reports right, 0 = no-go.

Both need `subject`, `session` and `date`. Rows of one subject are taken in the order of the file. At zero contrast the rewarded
side is the one whose contrast is a number where the other is left empty.

Written is the first dialect. Reading it gives back the columns that recorded data have (`REQUIRED`), of sessions counted from
0; the date, which a rollout does not know, is left empty.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from envs.names import nearest
from twin.data.formats import Format
from twin.data.rollout import COLUMNS, REQUIRED, Rollout

ENDINGS = (".csv", ".csv.gz")
GZIP = b"\x1f\x8b"  # the first bytes of every gzip file
NAMING = 2  # columns of a dialect that a header must name to be taken for one, if the file's name does not say so


class Dialect(NamedTuple):
    """Names of a dialect's columns, and what its choices and outcomes mean."""

    left: str
    right: str
    outcome: str
    probability_left: str
    choices: dict[float, int]  # as written -> 0 left, 1 right, -1 no-go
    outcomes: dict[float, int]  # as written -> reward

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column it needs."""
        return ("subject", "session", "date", self.left, self.right, "choice", self.outcome, self.probability_left)


DIALECTS = (
    Dialect("contrast_left", "contrast_right", "correct", "probability_left", {-1: 0, 1: 1, 0: -1}, {0: 0, 1: 1}),
    Dialect("contrastLeft", "contrastRight", "feedbackType", "probabilityLeft", {1: 0, -1: 1, 0: -1}, {-1: 0, 1: 1, 0: 0}),
)


def detect(path: Path) -> bool:
    """Is it text whose first line names columns of a dialect, or that a name ending in .csv or .csv.gz calls one?"""
    try:
        with _opened(path, errors="replace") as file:
            header = next(csv.reader([file.readline()]), [])
    except (EOFError, OSError, csv.Error):
        return False
    named = max(len({*header} & {*dialect.columns}) for dialect in DIALECTS)
    return named >= NAMING or ("\0" not in "".join(header) and path.name.endswith(ENDINGS))


def read(path: Path) -> Rollout:
    """Every mouse of a csv file.

    Raises ValueError naming the file, and the missing column with its nearest name or the row and column of the wrong value.
    """
    try:
        with _opened(path) as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: not whole as UTF-8 text ({error}); save or copy it again") from None
    if len(rows) < 2:
        raise ValueError(f"{path}: {len(rows)} rows; expected a header and at least one trial")
    header, body = rows[0], rows[1:]
    dialect = DIALECTS["contrastLeft" in header]
    _require(path, header, dialect.columns)
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(row)} values; the header names {len(header)} columns")
    return _rollout(_Table(path, header, body), dialect)


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have, gzipped if the name ends in .gz.

    A file already there is replaced once the new one is whole.
    """
    partial = path.with_name(path.name + ".tmp")
    with gzip.open(partial, "wt", newline="") if path.suffix == ".gz" else open(partial, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(DIALECTS[0].columns)
        writer.writerows(_rows(rollout))
    os.replace(partial, path)


def _rows(rollout: Rollout) -> Iterator[tuple[object, ...]]:
    """Rows of the first dialect."""
    written = {meaning: f"{code:g}" for code, meaning in DIALECTS[0].choices.items()}
    columns = (rollout.columns[name].tolist() for name in ("session", "side", "choice", "reward"))
    sizes, probabilities = np.abs(rollout.contrast).astype(str), rollout.probability_left.astype(str)
    for mouse, session, side, choice, reward, size, probability in zip(
        rollout.mouse.tolist(), *columns, sizes.tolist(), probabilities.tolist(), strict=True
    ):
        other = "0.0" if float(size) else ""  # empty: zero contrast on the other side
        left, right = (size, other) if side < 0 else (other, size)
        yield rollout.ids[mouse], session, "", left, right, written[choice], reward, probability


def _opened(path: Path, errors: str = "strict") -> IO[str]:
    """The text of a file, gzipped or not."""
    with open(path, "rb") as file:
        zipped = file.read(len(GZIP)) == GZIP
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="")
    return open(path, encoding="utf-8-sig", errors=errors, newline="")


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


def _rollout(table: _Table, dialect: Dialect) -> Rollout:
    left = table.contrasts(dialect.left)
    right = table.contrasts(dialect.right)
    choice = table.coded("choice", dialect.choices)
    reward = table.coded(dialect.outcome, dialect.outcomes)
    probability_left = table.numbers(dialect.probability_left)
    side = _sides(table, left, right, choice, reward, probability_left)
    subject = table.text("subject").tolist()
    number = {name: m for m, name in enumerate(dict.fromkeys(subject))}
    mouse = np.array([number[name] for name in subject])
    order = np.argsort(mouse, kind="stable")
    mouse = mouse[order]
    day = [*zip(table.text("date")[order], table.text("session")[order], strict=True)]
    change = np.array([i > 0 and (mouse[i] == mouse[i - 1]) and day[i] != day[i - 1] for i in range(len(day))])
    starts = np.searchsorted(mouse, np.arange(len(number) + 1))
    count = np.cumsum(change)
    signed = np.nan_to_num(right) - np.nan_to_num(left)
    values = (count - count[starts[mouse]], signed[order], side[order], choice[order], reward[order], probability_left[order])
    columns = {name: np.asarray(v, COLUMNS[name][0]) for name, v in zip(REQUIRED, values, strict=True)}
    return Rollout(columns, starts, tuple(number), origin={"source": table.path.name, "format": "csv"})


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


FORMAT = Format("csv", "a csv file of trials, plain or gzipped", ENDINGS, detect, read, write)
