"""HDF5 files of rollouts: written, read, described and verified.

    /                 format, format_version, origin (JSON: seed, protocol, cohort, source), scenario (TOML), versions (JSON),
                      content_hash, complete (written last)
    /mice             id, key, theta (M, P; attribute `names`), start (M + 1)
    /sessions         mouse, session, start, stop; duration_s, water_ul, protocol, status, date, clock_s, task, weight_g where
                      known (SESSION_COLUMNS)
    /trials/<column>  one 1-D dataset per column of COLUMNS, all mice concatenated; weights (N, K), attribute `features`

The content hash is that of all of these that are read back (`content_hash`); names and notes also have the checksum of the
header that they are in, since texts are of fixed length.

Chunks of 64 Ki rows, fletcher32, and gzip 1 + shuffle where that makes a column much smaller: readable anywhere without
plugins, by HDF5 of 1.8 or later. A file is written whole (`twin.data.files`), and what is read was compared with the schema
(`twin.data.store.schema`).

A rollout that is not to be one file is a folder of such files and a manifest (`twin.data.store.manifest`). `StoredRollout`
reads either without having all of it in memory, and `write_rollout` makes one file of it.
"""

from twin.data.content import content_hash
from twin.data.store.reading import is_rollout, read_rollout
from twin.data.store.stored import StoredRollout
from twin.data.store.verifying import describe, verify
from twin.data.store.writing import versions, write_rollout

__all__ = ["StoredRollout", "content_hash", "describe", "is_rollout", "read_rollout", "verify", "versions", "write_rollout"]
