"""MATLAB files up to version 7: variables of one length, a struct of such fields, or a struct array of one element a trial.

They are read by scipy, in a program of its own (`child`), which some damaged files end.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from twin.data.files import starts_with
from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.tables import columns
from twin.data.tables.arrays import load_npz
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of

MAGIC = b"MATLAB 5.0 MAT-file"
NEWEST = b"MATLAB 7.3 MAT-file"  # HDF5 by another name
LONGEST = 600  # seconds that reading may take
CHILD = Path(__file__).with_name("child.py")  # run as it is, for the package takes longer to load than the file
STRUCT = "trials"  # what is written


def detect(path: Path) -> bool:
    """Does a file begin as MATLAB's do?"""
    return path.is_file() and (starts_with(path, MAGIC) or starts_with(path, NEWEST))


def load(path: Path) -> dict[str, np.ndarray]:
    """Columns of a file. Raises ValueError if it is not whole, or no struct or variables of trials."""
    if starts_with(path, NEWEST):
        raise ValueError(f"{path}: MATLAB's format 7.3; expected one that `save(..., '-v7')` writes")
    command = [sys.executable, str(CHILD), str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    try:
        child = subprocess.run(command, capture_output=True, env=environment, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{path}: not read as a MATLAB file within {LONGEST} s; save it again as csv or parquet") from None
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip() if child.returncode == 2 else "its parts do not fit together"
        raise ValueError(f"{path}: not whole as a MATLAB file ({' '.join(reason.split())[:200]}); save or copy it again")
    arrays = load_npz(io.BytesIO(child.stdout), str(path))
    return {name.partition("/")[2]: values for name, values in arrays.items()}


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    from twin.data.tables import arrow

    table = arrow.table_of_arrays(load(path), str(path))
    return read_table(Columns(str(path), stem_of(path), table), asked, source=path.name, format="mat")


def write(rollout: Rollout, path: Path) -> None:
    """Write one struct, `trials`, of columns; texts as a cell array."""
    import scipy.io

    with columns.new_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, {STRUCT: columns.columns_of(rollout)}, do_compression=True, oned_as="column")


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    if not detect(path):
        return False
    try:
        return columns.is_own_header(list(load(path)))
    except ValueError:
        return False


FORMAT = Format("mat", "a MATLAB file of trials", (".mat",), detect, read, write, is_ours=is_ours)
