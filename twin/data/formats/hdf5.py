"""The project's own HDF5 files, which hold all of a rollout; `twin.data.store` says what is in them."""

from __future__ import annotations

from twin.data.formats import Format
from twin.data.store import is_rollout, read_rollout, verify, write_rollout

FORMAT = Format(
    "hdf5", "an HDF5 rollout of `twin run` or `twin import`", (".h5", ".hdf5"), is_rollout, read_rollout, write_rollout, verify
)
