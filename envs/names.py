"""What to say of a name nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence for an error: the unknown name, the nearest known one, and all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}"
