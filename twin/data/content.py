"""Content hashes: what was computed from data is bound to their content, never to a path or a position."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.data.rollout import COLUMNS, SESSION_COLUMNS, Rollout, Stream

if TYPE_CHECKING:
    from twin.data.store.stored import StoredRollout


def hash_content(parts: Mapping[str, np.ndarray | Stream | Sequence[str] | str]) -> str:
    """SHA-256 of named arrays and texts, in hexadecimal: equal exactly if all names, types, shapes and values are."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        blocks: Iterable[Any]
        if isinstance(part, np.ndarray):
            part = Stream(part.dtype, part.shape, lambda values=part: iter([values]))  # type: ignore[misc]
        if isinstance(part, Stream):
            kind, size = f"{part.dtype.str} {part.shape}", math.prod(part.shape) * part.dtype.itemsize
            blocks = (np.ascontiguousarray(block).reshape(-1).view(np.uint8) for block in part.blocks())
        else:
            content = json.dumps(part if isinstance(part, str) else [str(text) for text in part]).encode()
            kind, size, blocks = "text", len(content), [content]
        digest.update(f"{name} {kind} {size}\n".encode())
        for block in blocks:
            digest.update(block)
    return digest.hexdigest()


def hash_bytes(content: bytes) -> str:
    """SHA-256 of the content of a file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_hash(rollout: Rollout | StoredRollout) -> str:
    """SHA-256 of all that a file gives back: equal exactly if every column, name, parameter and note of the origin is."""
    parts: dict[str, Any] = {"ids": rollout.ids, "starts": rollout.starts}
    parts |= {f"trials/{name}": rollout.stream(name) for name in COLUMNS if name in rollout.columns}
    parts |= {f"sessions/{name}": rollout.of_session[name] for name in SESSION_COLUMNS if name in rollout.of_session}
    if rollout.features:
        parts |= {"features": rollout.features, "weights": rollout.stream("weights")}
    if rollout.keys is not None:
        parts["keys"] = rollout.keys
    if rollout.theta is not None:
        parts |= {"theta_names": rollout.theta_names, "theta": rollout.theta}
    return hash_content(parts | {"origin": json.dumps(dict(rollout.origin), sort_keys=True)})
