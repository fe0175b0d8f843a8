"""What each mouse gains or loses under each design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, SERIES_COLOURS, new_figure

CLIPPED = 0.99  # share of the mice whose differences are within the axis
HEIGHT = 0.7  # of the tallest bar, rows being 1 apart


class Difference(NamedTuple):
    """A design minus the first one: sessions until the status, mouse by mouse."""

    mean: float
    low: float  # of the mean's 95 % interval
    high: float
    sessions: np.ndarray  # (D,) differences that occur
    share: np.ndarray  # (D,) of the mice with each


@figure(section="Designs", place=1)
def differences(shown: Shown) -> Figure | None:
    """Differences from the first design, where designs were compared."""
    if "designs" not in shown.results:
        return None
    return draw_differences(list(shown.results["designs"]), shown.results["comparisons"], shown.results["horizon"])


def draw_differences(designs: Sequence[str], comparisons: Sequence[Mapping[str, Any]], horizon: int) -> Figure:
    """What each design costs each mouse, in sessions more than under the first design; mean with its 95 % interval.

    `comparisons` as `compare_designs` gives them. Bars are shares of mice, the same scale in every row; the bar of mice without
    a difference is hatched.
    """
    first, *others = designs
    rows = {name: _minus_first(comparisons, name, first) for name in others}
    reach = _reach(list(rows.values()))
    bars = {name: _bars(row, reach) for name, row in rows.items()}
    tallest = max(float(share.max()) for _, share in bars.values())
    words = (
        f"Sessions more than under {first}, mouse by mouse, until the status or session {horizon}; bars are shares of mice "
        f"(the tallest {100 * tallest:.0f} %, hatched without a difference, the end ones with all beyond), points means with "
        "95 % bootstrap intervals."
    )
    canvas = new_figure(8.5, 1.2 + 0.95 * len(others), words)
    ax = canvas.subplots()
    for i, (name, row) in enumerate(rows.items()):
        at, share = bars[name]
        base, colour = len(others) - 1 - i, SERIES_COLOURS[(i + 1) % len(SERIES_COLOURS)]
        drawn = ax.bar(at, share * (HEIGHT / tallest), 0.8, bottom=base, color=colour, alpha=0.45)
        for bar in np.array(drawn.patches)[at == 0]:
            bar.set(hatch="////", edgecolor="white")
        _draw_mean(ax, row, base, colour)
    ax.axvline(0.0, color=BLACK, lw=0.8, ls=":", zorder=0)
    ax.set_yticks(np.arange(len(others)) + HEIGHT / 2, list(reversed(others)))
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=f"sessions more than under {first}", xlim=(-reach - 0.7, reach + 0.7), ylim=(-0.2, len(others)))
    return canvas


def _draw_mean(ax: Axes, row: Difference, base: float, colour: str) -> None:
    """The mean and its interval on the base of a row, and what they are in words beside it."""
    ax.hlines(base, row.low, row.high, color=BLACK, lw=2.5, zorder=3)
    ax.plot(row.mean, base, "o", mfc=colour, mec=BLACK, zorder=4, clip_on=False)
    signs = ((row.sessions < 0, "faster"), (row.sessions == 0, "the same"), (row.sessions > 0, "slower"))
    shares = [f"{100 * row.share[there].sum():.0f} % {word}" for there, word in signs]
    text = "\n".join([f"mean {row.mean:+.2f} [{row.low:+.2f}, {row.high:+.2f}]", *shares]).replace("-", "−")
    ax.text(1.02, base + HEIGHT / 2, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)


def _minus_first(comparisons: Sequence[Mapping[str, Any]], name: str, first: str) -> Difference:
    (pair,) = [p for p in comparisons if {p["a"], p["b"]} == {name, first}]
    sign = 1 if pair["a"] == name else -1
    low, high = sorted(sign * limit for limit in pair["ci95"])
    sessions, mice = (np.asarray(pair["histogram"][key]) for key in ("difference", "mice"))
    return Difference(sign * pair["difference"], low, high, sign * sessions, mice / mice.sum())


def _reach(rows: Sequence[Difference]) -> int:
    """Differences within which CLIPPED of the mice are, of all designs together; at least 2."""
    size = np.abs(np.concatenate([row.sessions for row in rows]))
    order = np.argsort(size)
    within = np.cumsum(np.concatenate([row.share for row in rows])[order]) / len(rows)
    return max(2, int(size[order][np.searchsorted(within, CLIPPED - 1e-9)]))


def _bars(row: Difference, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences and the share of mice with each; those beyond `reach` are counted at its end."""
    at, where = np.unique(np.clip(row.sessions, -reach, reach), return_inverse=True)
    return at, np.bincount(where, row.share)
