"""What to say of a name nobody knows, and of a value that is not what it should be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from reprlib import Repr

SAME_INITIAL = 0.2  # added to the likeness of names with the same first letter: a typing mistake is seldom the first one
KNOWN = " Known: "  # what goes before the list of all known names
LONGEST = 80  # characters of a value that an error shows

NAME = r"^\w[\w.-]*$"  # of what becomes a file or a folder
LONGEST_NAME = 100  # characters of one

_short = Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 4, LONGEST, LONGEST, LONGEST
_short.maxdict = _short.maxlist = _short.maxtuple = 8


def shown(value: object) -> str:
    """A value as an error shows it: on one line and never long, however large or deeply nested it is."""
    try:
        return " ".join(_short.repr(value).split())
    except ValueError:  # Python does not write out whole numbers of more than some thousand digits
        return f"a value of type {type(value).__name__}"


def nearest(name: object, known: Iterable[str], least: float = 0.0) -> str | None:
    """The known name most like the one given; None if none is at least so alike (0 to 1, and `SAME_INITIAL`)."""
    given = name[:LONGEST] if isinstance(name, str) else shown(name)

    def likeness(other: str) -> float:
        return SequenceMatcher(None, given, other).ratio() + SAME_INITIAL * (given[:1] == other[:1])

    alike = [other for other in known if likeness(other) >= least]
    return max(alike, key=likeness) if alike else None


def suggest(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence for an error: the unknown name, the nearest known one, and all of them."""
    names = list(known)
    near = nearest(name, names)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"unknown {kind} {shown(name)}{hint}{KNOWN}{', '.join(names)}"


def check_name(kind: str, name: str, taken: Collection[str] = ()) -> None:
    """Raise ValueError for a name that no file can have, or that stands for something else."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        raise ValueError(
            f"{kind} {shown(name)}: expected a name of letters, digits and _ . -, of at most {LONGEST_NAME} characters"
        )
    if name in taken:
        raise ValueError(f"{kind} {name!r}: stands for something else already; give yours another name")
