"""What a file or a folder of shards says of itself, and whether it is what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twin.data.content import content_hash
from twin.data.store.manifest import read_manifest, shard_path
from twin.data.store.reading import read_outline, read_rollout, totals_of_sessions
from twin.data.store.stored import StoredRollout


def describe(path: str | Path) -> dict[str, Any]:
    """What a file or a folder of shards holds, without reading its trials."""
    path, stored = Path(path), StoredRollout.open(path)
    outline = stored.files[0].outline
    told = {
        "mice": stored.n_mice,
        "sessions": len(stored.sessions.start),
        "trials": len(stored),
        "columns": list(outline.columns),
        "origin": stored.origin,
        "versions": outline.versions,
    }
    if not path.is_dir():
        return told | {"content_hash": outline.content_hash}
    return told | {"shards": len(stored.files), "content_hash": read_manifest(path).content_hash}


def verify(path: str | Path) -> str:
    """The content hash of a file or a folder of shards, recomputed.

    Raises ValueError naming the file that is missing, or whose hash or totals of sessions are not those of its trials.
    """
    path = Path(path)
    if not path.is_dir():
        return _verify_file(path)
    manifest = read_manifest(path)
    for shard in manifest.shards:
        if _verify_file(file := shard_path(path, shard)) != shard.content_hash:
            raise ValueError(f"{file}: not the shard that was written here (its hash differs from the manifest's)")
    return manifest.content_hash


def _verify_file(path: Path) -> str:
    rollout, stored = read_rollout(path), read_outline(path).content_hash
    found = content_hash(rollout)
    if stored != found:
        raise ValueError(f"{path}: the content is not what was written (hash {found[:12]} instead of {stored[:12]})")
    told = totals_of_sessions(path)
    for name, expected in rollout.session_totals().items():
        if name not in told or not np.array_equal(told[name], expected, equal_nan=True):
            raise ValueError(f"{path}: the content is not what was written (/sessions/{name} is not what the trials say)")
    return found
