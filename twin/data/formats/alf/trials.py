"""The trials of sessions in ALF files as one table."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow

from twin.data.formats import parquet
from twin.data.formats.alf.places import Session
from twin.data.tables import arrow
from twin.data.tables.arrays import load_npy
from twin.data.tables.names import KNOWN, plain

SETTINGS = Path("raw_behavior_data") / "_iblrig_taskSettings.raw.json"
MOST_SETTINGS = 10_000_000  # bytes
SHOWN = 3  # sessions that a note names


class Loaded(NamedTuple):
    """A table of all trials, what a row is called, and what was left out."""

    table: Any
    row_name: Callable[[int], str]
    notes: list[str]


def load_sessions(path: Path, sessions: Sequence[Session]) -> Loaded:
    """All trials. Raises ValueError naming session and file of what is not whole, or of another length than the others."""
    labs: dict[str, set[str]] = {}
    for session in sessions:
        labs.setdefault(session.subject, set()).add(session.lab)
    tables, starts, kept, empty = [], [0], list[Session](), list[Session]()
    for session in sessions:
        columns = _columns(session)
        n = len(next(iter(columns.values()), ()))
        if not n:
            empty.append(session)
            continue
        several = len(labs[session.subject]) > 1  # mice of one name
        tables.append(_table(session, columns, f"{session.lab}/{session.subject}" if several else session.subject, path))
        starts.append(starts[-1] + n)
        kept.append(session)
    if not tables:
        raise ValueError(f"{path}: {len(empty)} sessions, none with trials; expected _ibl_trials.choice and contrasts")
    notes = [f"{len(empty)} sessions have no trials and are left out ({_named(empty)})"] if empty else []

    def row_name(row: int) -> str:
        i = bisect_right(starts, row) - 1
        return f"session {kept[i].name}, trial {row - starts[i] + 1}"

    return Loaded(pyarrow.concat_tables(tables, promote_options="permissive"), row_name, notes)


def _named(sessions: Sequence[Session]) -> str:
    more = f" and {len(sessions) - SHOWN} more" if len(sessions) > SHOWN else ""
    return ", ".join(session.name for session in sessions[:SHOWN]) + more


def _columns(session: Session) -> dict[str, np.ndarray]:
    """What a session's files hold that is of use, by names that tables have; files of one attribute after the table."""
    found: dict[str, np.ndarray] = {}
    where: dict[str, Path] = {}
    if "table" in session.files:
        table = parquet.load(session.files["table"])
        for name in table.column_names:
            if plain(name) in KNOWN:
                found[name] = np.asarray(table.column(name).to_numpy())
                where[name] = session.files["table"]
    for attribute, file in session.files.items():
        if plain(attribute) not in KNOWN and attribute != "intervals":
            continue
        values = load_npy(file)
        name = attribute
        if attribute == "intervals" and values.ndim == 2 and values.shape[1] == 2:
            name, values = "intervals_0", values[:, 0]
        found[name] = values
        where[name] = file
    for name, values in found.items():
        if values.ndim != 1 and max(values.shape, default=0) != values.size:
            raise ValueError(f"{where[name]}: the shape {values.shape}; expected one value a trial")
    if found.get("feedbackType", np.array("")).dtype.kind in "if":  # 0 is none, whatever the others are
        found["feedbackType"] = np.where(found["feedbackType"] == 0, np.nan, found["feedbackType"])
    return _of_one_length(session, {name: values.reshape(-1) for name, values in found.items()}, where)


def _of_one_length(session: Session, columns: dict[str, np.ndarray], where: Mapping[str, Path]) -> dict[str, np.ndarray]:
    lengths = {name: len(values) for name, values in columns.items()}
    n = lengths.get("choice", max(lengths.values(), default=0))
    for name, length in lengths.items():
        if length != n:
            raise ValueError(
                f"{where[name]}: {length} values of session {session.name}; expected {n}, as many as the others have; copy the "
                f"session again"
            )
    return columns


def _table(session: Session, columns: dict[str, np.ndarray], subject: str, root: Path) -> Any:
    told = _settings(session, root)
    names = {"subject": subject, "date": told.pop("date", session.date), "session": session.number, **told}
    one = {name: np.array(value) for name, value in names.items() if value != ""}
    return arrow.table_of_arrays({**{k: v for k, v in columns.items() if k not in one}, **one}, session.name)


def _settings(session: Session, root: Path) -> dict[str, Any]:
    """What the settings of a session's rig say, if they are there."""
    for folder in (session.folder, *session.folder.parents[:3]):
        file = folder / SETTINGS
        inside = file.resolve().is_relative_to(root.resolve())
        if inside and file.is_file() and file.stat().st_size <= MOST_SETTINGS:
            with suppress(ValueError, RecursionError):
                found = json.loads(file.read_bytes())
                return _told(found) if isinstance(found, dict) else {}
    return {}


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    task, weight = settings.get("PYBPOD_PROTOCOL"), settings.get("SUBJECT_WEIGHT")
    start = settings.get("SESSION_START_TIME", settings.get("SESSION_DATETIME"))
    if isinstance(task, str) and task:
        found["task"] = task
    if isinstance(weight, int | float) and 0 < weight < 1000:
        found["weight_g"] = float(weight)
    if settings.get("DATE_KNOWN") is False:
        found["date"] = ""
    elif isinstance(start, str) and start:
        found["date"] = start
    if settings.get("SIMULATED") is True:
        found["simulated"] = 1
    return found
