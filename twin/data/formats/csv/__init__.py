"""Behaviour in csv files, one row per trial, plain or gzipped, with commas, semicolons or tabs.

`twin.data.formats.csv.layout` says how columns are named and coded. Needed are a stimulus and a choice; `subject`, `session`,
`date`, `trial`, the outcome, `probability_left` and `response_time` are read where they are. Rows are those of one mouse in
order, or put in order by date, session and trial. What was made of a table beyond what it says is in the rollout's origin, as
`notes`, a sentence each. Not known of a choice at zero contrast without an outcome: side 0, reward -1; of a table without it:
`probability_left` NaN.

Written is the first dialect. Reading it gives back the columns that recorded data have, of sessions counted from 0; the date,
which a rollout does not know, is left empty.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from twin.data.formats import Format
from twin.data.formats.csv.identity import check_mice, check_repeats
from twin.data.formats.csv.layout import DIALECTS, NAMING, absences, count_known, find_layout, shown
from twin.data.formats.csv.order import find_order
from twin.data.formats.csv.source import open_source
from twin.data.formats.csv.table import read_table
from twin.data.formats.csv.writing import is_ours, write
from twin.data.rollout import COLUMNS, REQUIRED, Rollout

__all__ = ["DIALECTS", "FORMAT", "detect", "read", "write"]

ENDINGS = (".csv", ".csv.gz")
FEW = 2  # from so many trials a mouse has a behaviour at all


def detect(path: Path) -> bool:
    """Is it text whose first row names columns of trials, or that a name ending in .csv or .csv.gz calls one?"""
    try:
        source = open_source(path)
    except (ValueError, OSError, csv.Error):
        return False
    return count_known(source.header) >= NAMING or ("\0" not in "".join(source.header) and path.name.endswith(ENDINGS))


def read(path: Path) -> Rollout:
    """Every mouse of a csv file.

    Raises ValueError naming the file, and the missing column with its nearest name or the row and column of the wrong value.
    """
    source = open_source(path)
    layout = find_layout(source)
    table = read_table(source, layout)
    if "subject" not in table.columns:
        table.columns["subject"] = np.zeros(len(table), np.int32)
        table.labels["subject"] = [source.stem]
    else:
        check_mice(table)
    notes = absences(source, layout)
    order = find_order(table)
    columns = {"session": order.session.astype(COLUMNS["session"][0])}
    unknown = np.full(len(table), np.nan, np.float32)
    for name in (*REQUIRED[1:], "response_time"):
        if name in table.columns or name in REQUIRED:
            columns[name] = table.columns.pop(name, unknown)[order.rows]
    rollout = Rollout(columns, order.starts, tuple(table.labels["subject"]))
    check_repeats(table, rollout, order.rows)
    notes += table.notes + _short(rollout)
    origin = {"source": path.name, "format": "csv"} | ({"notes": notes} if notes else {})
    return Rollout(columns, order.starts, rollout.ids, origin=origin)


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


FORMAT = Format("csv", "a csv file of trials, plain or gzipped", ENDINGS, detect, read, write, None, is_ours)
