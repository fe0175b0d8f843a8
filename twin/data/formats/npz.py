"""Arrays of one length in a .npz file, with the columns of `twin.data.tables.names`; a single value is that of all trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.tables import columns
from twin.data.tables.arrays import load_npz, names_of_npz
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of


def detect(path: Path) -> bool:
    """Is it a .npz file, and not one of PsyTrack's dictionaries?"""
    from twin.data.formats import psytrack

    return path.is_file() and names_of_npz(path) is not None and not psytrack.detect(path)


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    from twin.data.tables import arrow

    table = arrow.table_of_arrays(load_npz(path, str(path)), str(path))
    return read_table(Columns(str(path), stem_of(path), table), asked, source=path.name, format="npz")


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have; texts as texts, nothing pickled."""
    found = columns.columns_of(rollout)
    arrays = {name: values.astype(str) if values.dtype.kind == "O" else values for name, values in found.items()}
    with columns.new_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    names = names_of_npz(path)
    return names is not None and columns.is_own_header(names)


FORMAT = Format("npz", "a .npz file of arrays", (".npz",), detect, read, write, is_ours=is_ours)
