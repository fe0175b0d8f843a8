"""Which session each row belongs to, and the order of the rows: by date, session and trial where these decide.

Rows of several mice may be mixed; mice are in the order of their first rows. A file whose rows are in order already is taken as
it is. Where they are not, they are sorted, which a note says, or refused if the columns do not decide: the same session twice,
trials without numbers in a session that is torn apart, sessions on one date without a number.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, NoReturn

import numpy as np

from twin.data.tables import cells
from twin.data.tables.layout import shown
from twin.data.tables.parsing import Table, narrow


class Order(NamedTuple):
    """Rows in order, and where they belong; all (N,) but the first rows of the mice, and N, (M + 1,)."""

    rows: np.ndarray | slice  # of the table
    session: np.ndarray  # session of the mouse, from 0, in that order
    starts: np.ndarray


class _Keys(NamedTuple):
    """What tells sessions apart, and what orders them and their trials. None where the table does not say."""

    date: np.ndarray | None  # (N,) a number for each different date
    number: np.ndarray | None  # (N,) the same for each different session label
    day: np.ndarray | None  # of each of the dates: comes later if larger
    value: np.ndarray | None  # the same of the labels, where these are numbers
    trial: np.ndarray | None  # (N,) comes later if larger

    @property
    def words(self) -> str:
        """What sorts, in words."""
        there = {"date": self.day, "session": self.value, "trial": self.trial}
        return " and ".join(name for name, key in there.items() if key is not None) or "session"


def find_order(table: Table) -> Order:
    """The order of a table's rows. Raises ValueError naming mouse, session and rows that cannot be put in order."""
    mouse = table.columns["subject"]
    keys = _keys(table)
    place, tied = _sessions(mouse, keys)
    natural = slice(None) if (mouse[1:] >= mouse[:-1]).all() else np.argsort(mouse, kind="stable")
    rows = _sorted(table, keys, place, natural, tied)
    place = place[rows]
    first = np.searchsorted(mouse[rows], np.arange(len(table.labels["subject"]), dtype=mouse.dtype))
    starts = np.append(first, len(mouse))
    place -= np.repeat(place[first], np.diff(starts))  # in its own place, for there are millions
    return Order(rows, place, starts)


def _keys(table: Table) -> _Keys:
    date, day, clock = _dates(table)
    number, value = _numbers(table)
    trial = table.columns.get("trial")
    if trial is not None and np.isnan(trial).all():
        trial = None
    if trial is not None and np.isnan(trial).any():
        table.wrong(int(np.argmax(np.isnan(trial))), "trial", "the number of the trial in every row, or in none")
    return _Keys(date, number, day, value, clock if trial is None else trial)


def _given(table: Table, quantity: str) -> np.ndarray | None:
    """A column of labels, None if it is not there or always empty. Raises ValueError if it is sometimes empty."""
    if quantity not in table.columns:
        return None
    empty = [cells.is_missing(label) for label in table.labels[quantity]]
    if all(empty):
        return None
    if any(empty):
        table.wrong(
            int(np.argmax(np.array(empty)[table.columns[quantity]])), quantity, f"the {quantity} in every row, or in none"
        )
    return table.columns[quantity]


def _dates(table: Table) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Number of the date of each row; what orders the dates; and the time of day, if each trial has its own."""
    column = _given(table, "date")
    if column is None:
        return None, None, None
    labels = table.labels["date"]
    days = [cells.day(label) for label in labels]
    if odd := [label for label, day in zip(labels, days, strict=True) if day is None]:
        table.notes.append(
            f"dates such as {shown(odd[0])} are not written as 2021-03-31: they tell sessions apart, but do not order them"
        )
        return column, None, None
    seconds = np.array([(day - datetime(1, 1, 1)).total_seconds() for day in days if day])
    whole = np.floor(seconds / 86_400)
    if (seconds % 86_400 == 0).all() or 2 * len(labels) <= len(column):
        different, of_label = np.unique(seconds, return_inverse=True)
        return narrow(of_label)[column], different, None
    table.notes.append(
        f"the dates are those of single trials ({labels[0]!r}): a session is taken for one day, or one number on a day"
    )
    different, of_label = np.unique(whole, return_inverse=True)
    return narrow(of_label)[column], different, seconds[column]


def _numbers(table: Table) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Number of the session label of each row; what orders the labels, if they are numbers."""
    column = _given(table, "session")
    if column is None:
        return None, None
    labels = table.labels["session"]
    try:
        values = np.array([cells.number(label) for label in labels])
    except ValueError:
        return column, None
    different, of_label = np.unique(values, return_inverse=True)
    if len(different) < len(labels):
        i = int(np.argmax(np.bincount(of_label) > 1))
        same = " and ".join(shown(labels[j]) for j in np.flatnonzero(of_label == i)[:2])
        table.notes.append(f"sessions {same} are the same number: taken for one session")
    return narrow(of_label)[column], different


def _sessions(mouse: np.ndarray, keys: _Keys) -> tuple[np.ndarray, bool]:
    """Rank of the session of each row, mouse by mouse, (N,); does nothing but the file order some sessions?"""
    zero = np.zeros(len(mouse), np.int8)
    date = zero if keys.date is None else keys.date
    number = zero if keys.number is None else keys.number
    changes = np.zeros(len(mouse) - 1, bool)
    for column in (mouse, date, number):
        changes |= column[1:] != column[:-1]
    begins = np.concatenate([[0], np.flatnonzero(changes) + 1])
    key = (mouse[begins].astype(np.int64) * (int(date.max()) + 1) + date[begins]) * (int(number.max()) + 1) + number[begins]
    _, first, session = np.unique(key, return_index=True, return_inverse=True)
    first = begins[first]
    day = zero[first] if keys.day is None else keys.day[date[first]]
    value = zero[first] if keys.value is None else keys.value[number[first]]
    if keys.day is None and keys.date is not None:  # a number may begin anew on each date, whose order is not known
        pairs = np.unique(np.stack([mouse[first], number[first]]), axis=1)
        value = value if pairs.shape[1] == len(first) else zero[first]
    order = np.lexsort((first, value, day, mouse[first]))
    same = [np.diff(array[order]) == 0 for array in (mouse[first], day, value)]
    rank = np.empty(len(first), np.int32)
    rank[order] = np.arange(len(first))
    lengths = np.diff(np.append(begins, len(mouse)))
    return np.repeat(rank[session], lengths), bool(np.logical_and.reduce(same).any())


def _sorted(table: Table, keys: _Keys, place: np.ndarray, natural: np.ndarray | slice, tied: bool) -> np.ndarray | slice:
    """Rows in the order of their sessions (`place`) and trials, those of one mouse after those of the one before."""
    ordered = place[natural]
    later, back = ordered[1:] > ordered[:-1], ordered[1:] < ordered[:-1]
    in_order = ~back
    if keys.trial is not None:
        trial = keys.trial[natural]
        in_order &= later | (trial[1:] > trial[:-1])
    if in_order.all():
        return natural
    row = int(np.arange(len(place))[natural][np.argmin(in_order) + 1])
    if back.any() and tied:
        _refuse(table, row, "comes after a later one, and nothing says which of its mouse's sessions came first")
    if keys.trial is None:
        begun = np.flatnonzero(np.concatenate([[True], later | back]))
        order = np.arange(len(place))[natural][begun]
        _, index = np.unique(place[order], return_index=True)
        if len(index) < len(begun):
            again = np.setdiff1d(np.arange(len(begun)), index)[0]
            _refuse(table, int(order[again]), "begins again after another one: its rows are mixed up, or there twice")
        rows = np.argsort(place, kind="stable")
    else:
        rows = np.lexsort((keys.trial, place))
        twice = (place[rows][1:] == place[rows][:-1]) & (keys.trial[rows][1:] == keys.trial[rows][:-1])
        if twice.any():
            _refuse_twice(table, *np.sort(rows[int(np.argmax(twice)) :][:2]).tolist())
    table.notes.append(f"rows were not in order (first seen in {table.name(row)}): sorted by {keys.words}")
    return rows


def rows_named(first: str, joint: str, last: str) -> str:
    """Two rows in words: "rows 2 and 8" of "row 2" and "row 8"."""
    joined = first.startswith("row ") and last.startswith("row ")
    return f"rows {first[4:]} {joint} {last[4:]}" if joined else f"{first} {joint} {last}"


def _session_of(table: Table, row: int) -> str:
    """Mouse and session of a row, in words."""
    named = [
        f"{word} {shown(table.labels[quantity][table.columns[quantity][row]])}"
        for word, quantity in (("session", "session"), ("date", "date"), ("of mouse", "subject"))
        if quantity in table.columns
    ]
    return " ".join(named) if "session" in table.columns or "date" in table.columns else f"the session {named[-1]}"


def _refuse(table: Table, row: int, why: str) -> NoReturn:
    raise ValueError(
        f"{table.source.where}, {table.name(row)}: {_session_of(table, row)} {why}; expected rows in order, or columns "
        f"'date' (as 2021-03-31), 'session' and 'trial' to put them in order"
    )


def _refuse_twice(table: Table, row: int, again: int) -> NoReturn:
    number = table.columns["trial"][row] if "trial" in table.layout.at else None
    what = "have the same time" if number is None or np.isnan(number) else f"are both trial {number:g}"
    raise ValueError(
        f"{table.source.where}, {rows_named(table.name(row), 'and', table.name(again))}: {what} of {_session_of(table, row)}; "
        f"expected each trial once; remove what is there twice, or give each session a number of its own in 'session'"
    )
