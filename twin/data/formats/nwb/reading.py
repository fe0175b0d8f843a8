"""Reading NWB files."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from twin.data.formats.nwb.library import parse_notes, pynwb
from twin.data.rollout import Rollout
from twin.data.store.contained import check_contained
from twin.data.tables import arrow
from twin.data.tables.names import KNOWN, Asked, plain
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of

GRAMS = {"kg": 1000.0, "g": 1.0, "": 1.0}


def read_files(path: Path, files: Sequence[Path], asked: Asked) -> Rollout:
    """Every mouse of some files. Raises ValueError naming the file that is not whole, or has no trials."""
    tables = [_table(file, asked) for file in files]
    starts = np.cumsum([0, *(table.num_rows for table in tables)]).tolist()

    def row_name(row: int) -> str:
        i = bisect_right(starts, row) - 1
        return f"file {files[i].name}, trial {row - starts[i] + 1}"

    table = pyarrow.concat_tables(tables, promote_options="permissive")
    return read_table(Columns(str(path), stem_of(path), table, row_name), asked, source=path.name, format="nwb")


def _table(file: Path, asked: Asked) -> Any:
    check_contained(file)
    library = pynwb()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions of the schema, and of what is odd about a file
            with library.NWBHDF5IO(str(file), "r") as opened:
                columns = _columns(opened.read(), asked)
    except Exception as error:  # of a file that is not whole pynwb raises anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{file}: not readable as NWB ({reason}); write or copy it again") from None
    if "start_time" not in columns or not len(columns["start_time"]):
        raise ValueError(f"{file}: no trials; expected a table of trials, `NWBFile.trials`")
    if not parse_notes(columns.pop("notes", None)).times_of_trials_known:
        del columns["start_time"]
    return arrow.table_of_arrays({name: np.asarray(values) for name, values in columns.items()}, str(file))


def _columns(nwb: Any, asked: Asked) -> dict[str, Any]:
    """Columns of the trials that are of use, and what the file says of all of them."""
    if nwb.trials is None:
        return {}
    wanted = set(asked.columns.values())
    columns: dict[str, Any] = {
        column.name: np.asarray(column.data[:])
        for column in nwb.trials.columns
        if (plain(column.name) in KNOWN or column.name in wanted) and np.ndim(column.data) == 1
    }
    notes, subject = parse_notes(nwb.notes), nwb.subject
    if "subject" not in columns and subject is not None and subject.subject_id:
        columns["subject"] = str(subject.subject_id)
    if notes.date_known:
        columns["date"] = nwb.session_start_time.strftime("%Y-%m-%dT%H:%M:%S" if notes.time_of_day_known else "%Y-%m-%d")
    columns["session"] = str(nwb.session_id or nwb.identifier)
    if nwb.protocol:
        columns["task"] = str(nwb.protocol)
    if subject is not None and (grams := _grams(subject.weight)):
        columns["weight_g"] = grams
    return columns | ({"simulated": 1} if notes.simulated else {}) | {"notes": nwb.notes}


def _grams(weight: Any) -> float | None:
    """The weight of a mouse, such as "0.0225 kg"."""
    match = re.match(r"(\d+\.?\d*(?:e-?\d+)?)\s*(kg|g|)$", str(weight or "").strip())
    return float(match[1]) * GRAMS[match[2]] if match else None
