"""A table of trials, from whatever kept it, as a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twin.data.checks import check_rollout
from twin.data.rollout import COLUMNS, REQUIRED, SESSION_COLUMNS, Rollout
from twin.data.tables import cells
from twin.data.tables.identity import check_mice, check_repeats
from twin.data.tables.layout import find_layout, shown
from twin.data.tables.names import Asked
from twin.data.tables.order import Order, find_order
from twin.data.tables.parsing import Table, parse
from twin.data.tables.source import Source
from twin.data.tables.trials import trials_of

FEW = 2  # from so many trials a mouse has a behaviour at all


def read_table(source: Source, asked: Asked, said: Sequence[str] = (), /, **origin: Any) -> Rollout:
    """Every mouse of a table; what was made of it beyond what it says is in the rollout's notes, after what was `said`.

    Raises ValueError naming the table, and the missing column with its nearest name or the row and column of the wrong value.
    """
    layout = find_layout(source, asked)
    table = parse(source, layout)
    if "subject" not in table.columns:
        table.columns["subject"] = np.zeros(len(table), np.int32)
        table.labels["subject"] = [source.stem]
    else:
        check_mice(table)
    trials = trials_of(table, asked)
    trials.setdefault("probability_left", table.columns.pop("probability_left", np.full(len(table), np.nan, np.float32)))
    order = find_order(table)
    columns = {"session": order.session.astype(COLUMNS["session"][0])}
    for name in (*REQUIRED[1:], *list(COLUMNS)[len(REQUIRED) :]):
        if name in trials:
            columns[name] = trials.pop(name)[order.rows].astype(COLUMNS[name][0], copy=False)
    rollout = Rollout(columns, order.starts, tuple(table.labels["subject"]))
    check_repeats(table, rollout, order.rows)
    notes = [*said, *layout.notes, *table.notes, *_short(rollout)]
    if _truth(table, "simulated"):
        origin["simulated"] = True
    origin |= {"notes": notes} if notes else {}
    whole = Rollout(columns, order.starts, rollout.ids, origin=origin, of_session=_of_session(table, order, rollout))
    check_rollout(whole)
    return whole


def _truth(table: Table, quantity: str) -> bool:
    """Does a column say yes in any row?"""
    return any(text.lower() in ("1", "true") for text in table.labels.get(quantity, ()))


def _of_session(table: Table, order: Order, rollout: Rollout) -> dict[str, np.ndarray]:
    """What is told of the sessions, (S,) each, by their first trials."""
    first = np.arange(len(table))[order.rows][rollout.sessions.start]
    found: dict[str, np.ndarray] = {}
    if "date" in table.labels:
        days = [cells.day(label) for label in table.labels["date"]]
        date = np.array([0 if day is None else 10_000 * day.year + 100 * day.month + day.day for day in days])
        clock = np.array([np.nan if day is None else 3600 * day.hour + 60 * day.minute + day.second for day in days])
        if np.nan_to_num(clock).any():
            found["clock_s"] = clock[table.columns["date"][first]]
        if date.any():
            found["date"] = date[table.columns["date"][first]]
    if "task" in table.labels:
        found["task"] = np.array([cells.task(label) for label in table.labels["task"]])[table.columns["task"][first]]
    if "weight_g" in table.columns:
        found["weight_g"] = table.columns["weight_g"][first]
    return {name: values.astype(SESSION_COLUMNS[name][0]) for name, values in found.items()}


def _short(rollout: Rollout) -> list[str]:
    """Mice and sessions that tell nothing, a sentence each."""
    ids, lengths, chose = rollout.ids, np.diff(rollout.starts), rollout.choices_by_mouse()
    notes = [
        f"mouse {shown(ids[m])} has {lengths[m]} trial: nothing can be inferred from it" for m in np.flatnonzero(lengths < FEW)
    ]
    notes += rollout.silent()
    sessions = rollout.sessions
    made = np.logical_or.reduceat(rollout.choice >= 0, sessions.start)
    notes += [
        f"mouse {shown(ids[sessions.mouse[i]])} made no choice in session {sessions.session[i] + 1}"
        for i in np.flatnonzero(~made & (chose[sessions.mouse] > 0))
    ]
    return notes
