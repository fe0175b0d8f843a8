"""Tables in feather files (Arrow's own), with the columns of `twin.data.tables.names`."""

from __future__ import annotations

from pathlib import Path

from twin.data.files import starts_with
from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.tables import columns
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of

MAGIC = b"ARROW1"


def detect(path: Path) -> bool:
    """Does a file begin as every feather file of version 2 does?"""
    return path.is_file() and starts_with(path, MAGIC)


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    from twin.data.tables import arrow

    with arrow.readable(path), arrow.opened(path) as file:
        arrow.check_size(path, 0, len(file.schema))
        table = arrow.checked(file.read_all().select(arrow.flat_names(file.schema)))
    return read_table(Columns(str(path), stem_of(path), table), asked, source=path.name, format="feather")


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have."""
    import pyarrow.feather

    from twin.data.tables import arrow

    with columns.new_file(path) as partial:
        pyarrow.feather.write_feather(arrow.table_of(rollout), str(partial))


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    from twin.data.tables import arrow

    try:
        with arrow.readable(path), arrow.opened(path) as file:
            return arrow.is_own(file.schema)
    except (ValueError, OSError):
        return False


FORMAT = Format("feather", "a feather table", (".feather", ".arrow"), detect, read, write, is_ours=is_ours)
