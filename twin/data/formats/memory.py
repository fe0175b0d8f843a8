"""Tables that are in memory: of pandas, polars or pyarrow, dicts of arrays, and PsyTrack's dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns


def read_object(source: Any, asked: Asked) -> Rollout:
    """Trials of an object. Raises ValueError for one of no kind that is known, or saying what is wrong with it."""
    from twin.data.formats.psytrack import is_dictionary, read_dictionaries
    from twin.data.tables import arrow

    if is_dictionary(source):
        return read_dictionaries([source], "the dictionary", asked)
    if isinstance(source, list | tuple) and source and all(is_dictionary(part) for part in source):
        return read_dictionaries(source, "the dictionaries", asked)
    what = f"the {type(source).__name__}"
    if isinstance(source, Mapping):
        table = arrow.table_of_arrays({str(name): np.asarray(values) for name, values in source.items()}, what)
    elif hasattr(source, "__arrow_c_stream__"):
        table = arrow.table_from(source, what)
    else:
        raise ValueError(
            f"{what} is no behaviour; expected a path, a table of pandas, polars or pyarrow, a dict of arrays of one length, "
            f"or a PsyTrack dictionary"
        )
    return read_table(Columns(what, "mouse", table), asked, source=what, format="table")
