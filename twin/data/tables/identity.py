"""Are mice and trials what they seem: names that look like one another, and sessions that repeat themselves."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from twin.data.rollout import Rollout
from twin.data.tables import cells
from twin.data.tables.layout import shown
from twin.data.tables.order import rows_named
from twin.data.tables.parsing import Table

LONG = 10  # from so many trials that are one and the same, a session was never a mouse's
COPIES = range(2, 6)  # a session pasted so many times


def check_mice(table: Table) -> None:
    """Raises ValueError for a mouse without a name, or two whose names are the same number."""
    values: dict[Decimal, str] = {}
    for i, label in enumerate(table.labels["subject"]):

        def refuse(expected: str, i: int = i) -> None:
            table.wrong(int(np.argmax(table.columns["subject"] == i)), "subject", expected)

        if cells.is_missing(label):
            refuse("the name of a mouse")
        try:
            cells.number(label)
            other = values.setdefault(Decimal(label.strip().replace(",", ".")), label)  # exactly, for ids may be long
        except ValueError:
            continue
        if other != label:
            refuse(f"one way to write a mouse's name; {shown(other)} is there too, which is the same number")


def check_repeats(table: Table, rollout: Rollout, rows: np.ndarray | slice) -> None:
    """Raises ValueError naming a session that is one trial again and again, or that was pasted several times."""
    sessions = rollout.sessions
    columns = [rollout.columns[name] for name in rollout.columns if name != "session"]
    for start, stop in zip(sessions.start.tolist(), sessions.stop.tolist(), strict=True):
        n = stop - start
        if n < LONG:
            continue
        for copies in (n, *COPIES):
            if n % copies or not all(_repeats(column[start:stop], n // copies) for column in columns):
                continue
            first, last = (
                np.arange(len(rollout))[rows][[start, stop - 1]] if isinstance(rows, slice) else rows[[start, stop - 1]]
            )
            what = "one trial again and again" if copies == n else f"the same {n // copies} trials {copies} times"
            if copies < n and n // copies < LONG:
                continue
            m = int(sessions.mouse[np.searchsorted(sessions.start, start)])
            raise ValueError(
                f"{table.source.where}, {rows_named(table.name(int(first)), 'to', table.name(int(last)))}: session "
                f"{rollout.session[start] + 1} of mouse {shown(rollout.ids[m])} is {what}; expected what the mouse did; remove "
                f"what was copied"
            )


def _repeats(values: np.ndarray, period: int) -> bool:
    """Are values (n,) those a period before, all of them?"""
    return bool(np.array_equal(values[period:], values[:-period], equal_nan=values.dtype.kind == "f"))
