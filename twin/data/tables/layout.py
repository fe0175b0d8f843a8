"""Where a table has what, what it costs that something is not there, and which codes its names lead one to expect."""

from __future__ import annotations

from typing import NamedTuple

from envs.names import nearest
from twin.data.tables.names import IBL, KNOWN, NAMES, Asked, count_known, plain, quantities
from twin.data.tables.source import Source

SHOWN = 60  # characters of a text in a sentence
NAMING = 2  # quantities that a header must name to be taken for one of trials, if the file's name does not say so
ALIKE = 0.85  # from here a column that is not known is taken for one that is, misspelt (`envs.names.nearest`)


class Layout(NamedTuple):
    """Where the quantities of a table are."""

    at: dict[str, int]  # quantity -> position of its column
    ibl: bool  # are there names of the IBL's, by which a choice of 1 is left?
    notes: list[str]

    @property
    def signed(self) -> bool:
        """Is the stimulus one contrast, not one for each side?"""
        return "left" not in self.at


def shown(text: str) -> str:
    """A text of the user's as it is put into a sentence."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def find_layout(source: Source, asked: Asked) -> Layout:
    """Where a table has what. Raises ValueError naming the column that is missing, with its nearest name, or there twice."""
    header, notes = source.header, list[str]()
    given = quantities(asked.columns)
    places: dict[str, list[int]] = {}
    for i, name in enumerate(header):
        places.setdefault(plain(name), []).append(i)
    at = {}
    for quantity, names in NAMES.items():
        if quantity in given:
            at[quantity] = _given(source, given[quantity])
            continue
        there = [places[plain(name)] for name in names if plain(name) in places]
        if not there or header[there[0][0]] in given.values():
            continue
        if len(there[0]) > 1:
            raise _twice(source, header[there[0][0]], there[0])
        at[quantity] = there[0][0]
    _require(source, at)
    if "left" in at:
        for other in ("stimulus", "side"):
            at.pop(other, None)
    elif "side" in at and "stimulus" in at and at["side"] == at["stimulus"]:
        at.pop("side")
    ibl = any(name in header for name in IBL)
    return Layout(at, ibl, notes + _absences(source, at))


def _given(source: Source, name: str) -> int:
    if source.header.count(name) == 1:
        return source.header.index(name)
    if name in source.header:
        raise _twice(source, name, [i for i, other in enumerate(source.header) if other == name])
    near = nearest(name, source.header)
    hint = f"; the nearest there is {shown(near)}" if near else ""
    raise ValueError(f"{source.where}: column {shown(name)}, which --columns names, is missing{hint}")


def _twice(source: Source, name: str, places: list[int]) -> ValueError:
    columns = ", ".join(str(i + 1) for i in places)
    return ValueError(
        f"{source.where}, column {shown(name)}: there {len(places)} times (columns {columns}); expected it once; remove "
        f"or rename the others"
    )


def _require(source: Source, at: dict[str, int]) -> None:
    """A stimulus and a choice are all that must be there."""
    missing = [NAMES[side][0] for side in ("left", "right") if side not in at]
    if "stimulus" in at and missing:
        at.pop("left", None), at.pop("right", None)
        missing = []
    if "choice" not in at:
        missing.append("choice")
    if not missing:
        return
    near = nearest(missing[0], [name for i, name in enumerate(source.header) if name and i not in at.values()])
    hint = f"; the nearest there is {shown(near)}" if near else ""
    raise ValueError(
        f"{source.where}: column {missing[0]!r} is missing{hint}. Needed are a stimulus (contrast_left and contrast_right, "
        f"or one signed 'stimulus') and a choice; name them with --columns choice=NAME,stimulus=NAME{source.hint}"
    )


def _absences(source: Source, at: dict[str, int]) -> list[str]:
    """What it costs that some columns are not there, a sentence each."""
    costs = {
        "subject": f"all rows are taken for one mouse, {source.stem!r}",
        "session": "the trials of one date are taken for one session",
        "date": "sessions are in the order of their numbers",
        "outcome": "rewards follow from stimulus and choice, and are unknown at zero contrast",
        "probability_left": "blocks are unknown, and whether the mouse followed a protocol cannot be told",
    }
    names = {quantity: NAMES[quantity][0] for quantity in costs}
    if "session" not in at and "date" not in at:
        del costs["date"]
        names["session"] = "session' or 'date"
        costs["session"] = "all trials of a mouse are taken for one session"
    return [
        f"no column '{names[quantity]}'{_misspelt(source, names[quantity])}: {cost}"
        for quantity, cost in costs.items()
        if quantity not in at
    ]


def _misspelt(source: Source, name: str) -> str:
    near = nearest(name, [other for other in source.header if plain(other) not in KNOWN], ALIKE)
    return f" (is {shown(near)} meant?)" if near else ""


def is_of_trials(header: list[str]) -> bool:
    """Do so many columns have a name that is known, that the others may be asked for?"""
    return count_known(header) >= NAMING
