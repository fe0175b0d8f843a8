"""Load a MATLAB file and print its columns as .npz: `python child.py FILE`.

scipy's reader ends the program on some damaged files, so it has one of its own. Status 2 and a sentence: a file is not whole.
"""

from __future__ import annotations

import io
import math
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

MOST_COMPRESSION = 1_100  # of zlib: 1,032
BROKEN = (
    *(ValueError, TypeError, LookupError, zlib.error, EOFError, OSError, OverflowError, MemoryError, AttributeError),
    *(NotImplementedError, RecursionError, scipy.io.matlab.MatReadError),
)


def load(path: Path) -> dict[str, np.ndarray]:
    """Columns of a file: its variables, or the fields of the one struct or struct array in it."""
    most = path.stat().st_size * MOST_COMPRESSION
    for name, shape, _ in scipy.io.whosmat(str(path)):
        if math.prod(shape) > most:
            raise ValueError(f"{name[:60]!r} declares the shape {shape}")
    found = scipy.io.loadmat(str(path), simplify_cells=True, chars_as_strings=True)
    variables = {name: value for name, value in found.items() if not name.startswith("__")}
    structs = [value for value in variables.values() if isinstance(value, dict) or _is_struct_array(value)]
    columns = _fields(structs[0]) if len(structs) == 1 else variables
    return {name: _plain(np.asarray(value)) for name, value in columns.items()}


def _is_struct_array(value: Any) -> bool:
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
    return isinstance(items, list) and bool(items) and all(isinstance(item, dict) for item in items)


def _fields(value: Any) -> dict[str, Any]:
    """Columns of a struct of arrays, or of an array of structs."""
    if isinstance(value, dict):
        return value
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else value
    return {name: [_or_nan(item.get(name)) for item in items] for name in items[0]}


def _or_nan(value: Any) -> Any:
    """A value of one trial; what is empty in MATLAB, [], is no number."""
    return np.nan if isinstance(value, np.ndarray) and value.size == 0 else value


def _plain(values: np.ndarray) -> np.ndarray:
    """An array without objects: cells as texts."""
    if values.dtype != object:
        return values
    if any(isinstance(value, np.ndarray | list | dict) and np.size(value) for value in values.reshape(-1).tolist()):  # type: ignore[arg-type]
        raise ValueError("a cell holds more than one value")
    texts = ["" if isinstance(value, np.ndarray) or value != value else str(value) for value in values.reshape(-1).tolist()]
    return np.array(texts, str).reshape(values.shape)


def main() -> int:
    """Print the columns of the file that the command line names; the exit status."""
    try:
        columns, content = load(Path(sys.argv[1])), io.BytesIO()
        np.savez(content, allow_pickle=False, **{f"{i}/{name}": values for i, (name, values) in enumerate(columns.items())})
    except BROKEN as error:
        print(" ".join(str(error).split())[:200] or type(error).__name__, file=sys.stderr)
        return 2
    sys.stdout.buffer.write(content.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
