"""What to say of a name nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

SAME_INITIAL = 0.2  # added to the likeness of names with the same first letter: a typing mistake is seldom the first one


def nearest(name: object, known: Iterable[str], least: float = 0.0) -> str | None:
    """The known name most like the one given; None if none is at least so alike (0 to 1, and `SAME_INITIAL`)."""
    given = str(name)

    def likeness(other: str) -> float:
        return SequenceMatcher(None, given, other).ratio() + SAME_INITIAL * (given[:1] == other[:1])

    alike = [other for other in known if likeness(other) >= least]
    return max(alike, key=likeness) if alike else None


def suggest(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence for an error: the unknown name, the nearest known one, and all of them."""
    names = list(known)
    near = nearest(name, names)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}"
