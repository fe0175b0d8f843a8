"""The project's own HDF5 files, which hold all of a rollout; `twin.data.store` says what is in them."""

from __future__ import annotations

from pathlib import Path

from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.store import StoredRollout, describe, is_rollout, verify, write_rollout
from twin.data.store.manifest import is_sharded
from twin.data.tables.names import Asked


def is_ours(path: Path) -> bool:
    """Is a file a whole rollout? Of one that cannot be read nobody knows what it was."""
    try:
        describe(path)
    except (ValueError, OSError):
        return False
    return True


def detect(path: Path) -> bool:
    """Is it a file of the store?"""
    return is_sharded(path) or (path.is_file() and is_rollout(path))


def read(path: Path, asked: Asked) -> Rollout:
    """All of a rollout, whose columns need no names."""
    if asked != Asked():
        raise ValueError(f"{path}: an HDF5 rollout says itself what its columns are; leave out --columns and --choice-left")
    return StoredRollout.open(path).read()


FORMAT = Format(
    "hdf5",
    "an HDF5 rollout of `twin run` or `twin import`",
    (".h5", ".hdf5"),
    detect,
    read,
    write_rollout,
    verify,
    is_ours,
    carries=None,
)
