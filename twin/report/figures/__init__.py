"""Figures, one file per topic: a function that draws one registers itself with `figure`, and every page then has it.

    @figure(section="Behaviour")
    def reaction_times(shown: Shown) -> Figure | None:
        ...

The function's name is that of the PNG file. It returns None where a study has nothing of the kind to show, or several
figures by name (one per model, say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from matplotlib.figure import Figure

from twin.report.shown import Shown
from twin.report.style import styled

Drawn = Figure | Mapping[str, Figure] | None
Draw = Callable[[Shown], Drawn]


class Entry(NamedTuple):
    """A registered figure: the section of the page it belongs to, its place there, and what draws it."""

    section: str
    place: int
    name: str
    draw: Draw


_ENTRIES: dict[str, Entry] = {}


def figure(section: str, place: int = 0) -> Callable[[Draw], Draw]:
    """Register what draws a figure under the heading of a section; figures of a section come by place, then by name."""

    def register(draw: Draw) -> Draw:
        name = draw.__name__
        if name in _ENTRIES and _ENTRIES[name].draw.__module__ != draw.__module__:
            raise ValueError(f"figure {name!r} is drawn by {_ENTRIES[name].draw.__module__} and {draw.__module__}; rename one")
        _ENTRIES[name] = Entry(section, place, name, draw)
        return draw

    return register


def registered() -> tuple[Entry, ...]:
    """All figures, in the order of their sections' names, places and names."""
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name)
    return tuple(sorted(_ENTRIES.values(), key=lambda entry: entry[:3]))


@styled
def draw(entry: Entry, shown: Shown) -> Mapping[str, Figure]:
    """A registered figure by its name; nothing where there is nothing to show, more where it is one per model."""
    drawn = entry.draw(shown)
    if drawn is None:
        return {}
    return {entry.name: drawn} if isinstance(drawn, Figure) else drawn
