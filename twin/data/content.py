"""Content hashes: what was computed from data is bound to their content, never to a path or a position."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np


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
