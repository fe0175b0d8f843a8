"""What to say of a name nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

SAME_INITIAL = 0.2  # in the likeness of two names, from 0 to 1: a typing mistake is seldom the first letter


def suggest(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence for an error: the unknown name, the nearest known one, and all of them."""
    names, given = list(known), str(name)

    def likeness(other: str) -> float:
        return SequenceMatcher(None, given, other).ratio() + SAME_INITIAL * (given[:1] == other[:1])

    hint = f"; did you mean {max(names, key=likeness)!r}?" if names else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}"
