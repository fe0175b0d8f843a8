"""Which column of a table is what, by its name; and what its codes mean.

Two dialects, told apart by their columns:

- `contrast_left, contrast_right, choice, correct, probability_left` with choice -1 = reports left, +1 = reports right;
- `contrastLeft, contrastRight, choice, feedbackType, probabilityLeft`, the ALF names of the International Brain Laboratory as
  used by the Pillow lab's scripts, with choice +1 = wheel clockwise = reports LEFT, -1 = reports right.

In both, 0 is no choice, and a choice may be written L or left, R or right, none or no-go. In place of the two contrasts either
may have one signed `stimulus`, negative on the left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from envs.names import nearest

if TYPE_CHECKING:
    from twin.data.formats.csv.source import Source

SHOWN = 60  # characters of a text in a sentence
NAMING = 2  # columns that a header must name to be taken for one of trials, if the file's name does not say so
ALIKE = 0.85  # from here a column that is not known is taken for one that is, misspelt (`envs.names.nearest`)


class Dialect(NamedTuple):
    """Names of a dialect's columns, and what its choices and outcomes mean."""

    left: str
    right: str
    outcome: str
    probability_left: str
    choices: dict[float, int]  # as written -> 0 left, 1 right, -1 no-go
    outcomes: dict[float, int]  # as written -> reward

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is written."""
        return ("subject", "session", "date", self.left, self.right, "choice", self.outcome, self.probability_left)

    @property
    def own(self) -> set[str]:
        """Columns by which it is told from the other."""
        return {self.left, self.right, self.outcome, self.probability_left}


DIALECTS = (
    Dialect("contrast_left", "contrast_right", "correct", "probability_left", {-1: 0, 1: 1, 0: -1}, {0: 0, 1: 1}),
    Dialect("contrastLeft", "contrastRight", "feedbackType", "probabilityLeft", {1: 0, -1: 1, 0: -1}, {-1: 0, 1: 1, 0: 0}),
)
# quantity: the names it goes by in both dialects, the first that is there is taken
NAMES: dict[str, tuple[str, ...]] = {
    "subject": ("subject", "mouse"),
    "session": ("session",),
    "date": ("date",),
    "trial": ("trial",),
    "stimulus": ("stimulus", "signed_contrast"),
    "choice": ("choice", "response"),
    "response_time": ("response_time",),
}


class Layout(NamedTuple):
    """A table's dialect, and where its columns are."""

    dialect: Dialect
    at: dict[str, int]  # quantity -> position of its column

    @property
    def signed(self) -> bool:
        """Is the stimulus one signed contrast?"""
        return "left" not in self.at


def names_of(dialect: Dialect) -> dict[str, tuple[str, ...]]:
    """Names of every quantity in a dialect."""
    own = {quantity: (getattr(dialect, quantity),) for quantity in ("left", "right", "outcome", "probability_left")}
    return {**NAMES, **own}


def shown(text: str) -> str:
    """A text of the user's as it is put into a sentence."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def count_known(header: list[str]) -> int:
    """How many columns of a header are known."""
    known = {name for dialect in DIALECTS for names in names_of(dialect).values() for name in names}
    return len(known & set(header))


def find_layout(source: Source) -> Layout:
    """Where a table has what. Raises ValueError naming the column that is missing, with its nearest name, or there twice."""
    header = source.header
    dialect = max(DIALECTS, key=lambda dialect: len(dialect.own & set(header)))
    at = {}
    for quantity, names in names_of(dialect).items():
        there = [name for name in names if name in header]
        if not there:
            continue
        if header.count(there[0]) > 1:
            places = [str(i + 1) for i, name in enumerate(header) if name == there[0]]
            raise ValueError(
                f"{source.path}, row {source.header_row}, column {there[0]!r}: there {len(places)} times (columns "
                f"{', '.join(places)}); expected it once; remove or rename the others"
            )
        at[quantity] = header.index(there[0])
    _require(source, dialect, at)
    if "left" in at:
        at.pop("stimulus", None)
    return Layout(dialect, at)


def _require(source: Source, dialect: Dialect, at: dict[str, int]) -> None:
    """A stimulus and a choice are all that must be there."""
    missing = [getattr(dialect, side) for side in ("left", "right") if side not in at]
    if "stimulus" in at and len(missing) == 2:
        missing = []
    if "choice" not in at:
        missing.append("choice")
    if not missing:
        return
    near = nearest(missing[0], [name for i, name in enumerate(source.header) if name and i not in at.values()])
    hint = f"; the nearest there is {shown(near)}" if near else ""
    raise ValueError(
        f"{source.path}: column {missing[0]!r} is missing{hint}. Expected: {', '.join(dialect.columns)}, of which needed are "
        f"the contrasts (or one signed 'stimulus') and the choice; the separator found is {source.separator!r}"
    )


def absences(source: Source, layout: Layout) -> list[str]:
    """What it costs that some columns are not there, a sentence each."""
    dialect, at = layout.dialect, layout.at
    costs = {
        "subject": ("subject", f"all rows are taken for one mouse, {source.stem!r}"),
        "session": ("session", "the trials of one date are taken for one session"),
        "date": ("date", "sessions are in the order of their numbers"),
        "outcome": (dialect.outcome, "rewards follow from stimulus and choice, and are unknown at zero contrast"),
        "probability_left": (
            dialect.probability_left,
            "blocks are unknown, and whether the mouse followed a protocol cannot be told",
        ),
    }
    if "session" not in at and "date" not in at:
        del costs["date"]
        costs["session"] = ("session' or 'date", "all trials of a mouse are taken for one session")
    return [
        f"no column {name!r}{_misspelt(source, name)}: {cost}".replace('"', "'")
        for quantity, (name, cost) in costs.items()
        if quantity not in at
    ]


def _misspelt(source: Source, name: str) -> str:
    known = {name for dialect in DIALECTS for names in names_of(dialect).values() for name in names}
    near = nearest(name, [other for other in source.header if other not in known], ALIKE)
    return f" (is {shown(near)} meant?)" if near else ""
