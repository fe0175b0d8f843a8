"""Content hashes: what was computed from data is bound to their content, never to a path or a position."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.data.rollout import COLUMNS, SESSION_COLUMNS, Rollout


def hash_content(parts: Mapping[str, np.ndarray | Sequence[str] | str]) -> str:
    """SHA-256 of named arrays and texts, in hexadecimal: equal exactly if all names, types, shapes and values are."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        if isinstance(part, np.ndarray):
            kind, content = f"{part.dtype.str} {part.shape}", np.ascontiguousarray(part).tobytes()
        else:
            kind, content = "text", json.dumps(part if isinstance(part, str) else [str(text) for text in part]).encode()
        digest.update(f"{name} {kind} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def hash_bytes(content: bytes) -> str:
    """SHA-256 of the content of a file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_hash(rollout: Rollout) -> str:
    """SHA-256 of all that a file gives back: equal exactly if every column, name, parameter and note of the origin is."""
    parts: dict[str, Any] = {"ids": rollout.ids, "starts": rollout.starts}
    parts |= {f"trials/{name}": rollout.columns[name] for name in COLUMNS if name in rollout.columns}
    parts |= {f"sessions/{name}": rollout.of_session[name] for name in SESSION_COLUMNS if name in rollout.of_session}
    if rollout.weights is not None:
        parts |= {"features": rollout.features, "weights": rollout.weights}
    if rollout.keys is not None:
        parts["keys"] = rollout.keys
    if rollout.theta is not None:
        parts |= {"theta_names": rollout.theta_names, "theta": rollout.theta}
    return hash_content(parts | {"origin": json.dumps(dict(rollout.origin), sort_keys=True)})
