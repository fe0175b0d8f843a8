"""Tables in parquet files, with the columns of `twin.data.tables.names`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twin.data.files import starts_with
from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.tables import columns
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of

MAGIC = b"PAR1"


def detect(path: Path) -> bool:
    """Does a file begin as every parquet file does?"""
    return path.is_file() and starts_with(path, MAGIC)


def load(path: Path) -> Any:
    """The table of a file, as Arrow's. Raises ValueError if it is not whole, or more than memory holds."""
    import pyarrow.parquet

    from twin.data.tables import arrow

    with arrow.readable(path):
        file = pyarrow.parquet.ParquetFile(path, memory_map=False)
        arrow.check_size(path, file.metadata.num_rows, file.metadata.num_columns)
        names = arrow.flat_names(file.schema_arrow)
        return arrow.checked(file.read(columns=names, use_threads=False))


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    from twin.data.formats.alf.places import place_of

    mouse = stem_of(path)
    if mouse.startswith("_ibl"):  # a table of one mouse of the IBL, `.../SUBJECT/_ibl_subjectTrials.table.pqt` for instance
        mouse = place_of(path.parent)[1] or path.resolve().parent.name
    return read_table(Columns(str(path), mouse, load(path)), asked, source=path.name, format="parquet")


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have."""
    import pyarrow.parquet

    from twin.data.tables import arrow

    with columns.new_file(path) as partial:
        pyarrow.parquet.write_table(arrow.table_of(rollout), partial)


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    import pyarrow.parquet

    from twin.data.tables import arrow

    try:
        with arrow.readable(path):
            return arrow.is_own(pyarrow.parquet.read_schema(path))
    except (ValueError, OSError):
        return False


FORMAT = Format("parquet", "a parquet table", (".parquet", ".pqt"), detect, read, write, is_ours=is_ours)
