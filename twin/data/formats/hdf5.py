"""The project's own HDF5 files, which hold all of a rollout; `twin.data.store` says what is in them."""

from __future__ import annotations

from pathlib import Path

from twin.data.formats import Format
from twin.data.store import describe, is_rollout, read_rollout, verify, write_rollout


def is_ours(path: Path) -> bool:
    """Is a file a whole rollout? Of one that cannot be read nobody knows what it was."""
    try:
        describe(path)
    except (ValueError, OSError):
        return False
    return True


FORMAT = Format(
    "hdf5",
    "an HDF5 rollout of `twin run` or `twin import`",
    (".h5", ".hdf5"),
    is_rollout,
    read_rollout,
    write_rollout,
    verify,
    is_ours,
)
