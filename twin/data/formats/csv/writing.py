"""Writing behaviour as csv."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np

from twin.data.formats.csv.source import NOT_WHOLE, open_source
from twin.data.rollout import Rollout
from twin.data.tables.columns import columns_of, is_own_header, new_file


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have, gzipped if the name ends in .gz; what is not known is left empty.

    A file already there is replaced once the new one is whole; of one that is not finished nothing is left.
    """
    columns = columns_of(rollout)
    with (
        new_file(path) as partial,
        gzip.open(partial, "wt", newline="") if path.suffix == ".gz" else open(partial, "w", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(_texts(name, values) for name, values in columns.items()), strict=True))


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    try:
        return is_own_header(open_source(path).header)
    except (ValueError, OSError, csv.Error, *NOT_WHOLE):
        return False


def _texts(name: str, values: np.ndarray) -> list[object]:
    if values.dtype.kind != "f":
        return list(values.tolist())
    if name == "correct":
        return ["" if np.isnan(value) else int(value) for value in values.tolist()]
    return ["" if text == "nan" else text for text in values.astype(str).tolist()]
