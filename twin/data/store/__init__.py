"""HDF5 files of rollouts: written, read, described and verified.

    /                 format, format_version, origin (JSON: seed, protocol, cohort, source), scenario (TOML), versions (JSON),
                      content_hash, complete (written last)
    /mice             id, key, theta (M, P; attribute `names`), start (M + 1)
    /sessions         mouse, session, start, stop; duration_s, water_ul, protocol, status, date, clock_s, task, weight_g where
                      known (SESSION_COLUMNS)
    /trials/<column>  one 1-D dataset per column of COLUMNS, all mice concatenated; weights (N, K), attribute `features`

The content hash is that of all of these that are read back (`content_hash`); names and notes also have the checksum of the
header that they are in, since texts are of fixed length.

Chunks of 64 Ki rows, gzip 1 + shuffle + fletcher32: readable anywhere without plugins, by HDF5 of 1.8 or later. A file is
written whole (`twin.data.files`), and what is read was compared with the schema (`twin.data.store.schema`).
"""

from twin.data.content import content_hash
from twin.data.store.reading import describe, is_rollout, read_rollout, verify
from twin.data.store.writing import versions, write_rollout

__all__ = ["content_hash", "describe", "is_rollout", "read_rollout", "verify", "versions", "write_rollout"]
