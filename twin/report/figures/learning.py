"""Learning curves, and how mice move through the stages of a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twin.evaluation.session_summary import EASY_CONTRAST
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREY, new_figure

MANY = 30  # sessions from which they are drawn without markers
COUNTED = 10  # sessions, at most, above which the number of mice is written


@figure(section="Behaviour", place=1)
def learning_curve(shown: Shown) -> Figure | None:
    """Performance by session and the stages of the protocol, if behaviour was described."""
    learning = shown.results.get("learning_curve")
    return None if learning is None else draw_learning(learning, shown.results["stage_fractions"], shown.results["mice"])


def draw_learning(learning: Mapping[str, Any], stages: Mapping[str, list[float]], mice: int) -> Figure:
    """Fraction correct on easy trials by session, and the fraction of mice in each protocol stage if stages are known.

    `learning` and `stages` as `behavior` gives them under `learning_curve` and `stage_fractions`; `mice`: how many there are.
    """
    rows = 2 if stages else 1
    words = "Fraction correct on easy trials by session; no-gos count as errors."
    if mice > 1:
        words += " Median and quartiles at a session are of the mice that had it, whose number stands above; medians of few are"
        words += " dotted."
    canvas = new_figure(8, 5.6 if stages else 3.4, words)
    axes = canvas.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=[3, 2][:rows])[:, 0]
    contrast, sessions = learning["easy_contrast"], len(learning["mice"])
    easy = f"|contrast| {'≥' if contrast == EASY_CONTRAST else '='} {100 * contrast:g} %"
    axes[0].set(ylabel=f"fraction correct\n({easy})", ylim=(0, 1.02), xlim=(0.5, sessions + 0.5))
    if mice > 1:
        _draw_many(axes[0], learning, mice)
        _count_mice(axes[0], learning["mice"])
    else:
        _draw_one(axes[0], learning)
    axes[0].axhline(0.5, color=BLACK, lw=0.8, ls=":", label="chance")
    axes[0].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    if stages:
        _draw_stages(axes[1], stages)
    axes[-1].set_xlabel("session")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return canvas


def _draw_one(ax: Axes, learning: Mapping[str, Any]) -> None:
    ((name, correct),) = learning["single_mice"].items()
    ax.plot(*_by_session(correct), color=BLUE, marker=_marker(correct), label=name)


def _draw_many(ax: Axes, learning: Mapping[str, Any], mice: int) -> None:
    some = learning["single_mice"]
    for i, correct in enumerate(some.values()):
        label = "_" if i else f"single mice ({len(some)} of {mice})"
        ax.plot(*_by_session(correct), color=GREY, lw=0.6, alpha=0.6, marker="." if len(correct) == 1 else "", label=label)
    session, median = _by_session(learning["median"])
    enough = np.array(learning["mice"]) >= learning["least_mice"]
    low, high = (np.where(enough, np.array(limit, float), np.nan) for limit in learning["quartiles"])
    ax.fill_between(session, low, high, color=BLUE, alpha=0.25, lw=0, label="interquartile range")
    look: Any = {"color": BLUE, "marker": _marker(median), "ms": 4}
    ax.plot(session, np.where(enough, median, np.nan), label="median over mice", **look)
    if not enough.all():
        few = ~enough
        few[:-1] |= ~enough[1:]  # joined to the last session with enough of them
        few[1:] |= ~enough[:-1]
        ax.plot(session, np.where(few, median, np.nan), ls=":", label=f"of fewer than {learning['least_mice']} mice", **look)


def _count_mice(ax: Axes, mice: list[int]) -> None:
    """The number of mice behind the median, above some sessions, the last among them."""
    above = ax.secondary_xaxis("top")
    at = np.unique(np.linspace(1, len(mice), min(len(mice), COUNTED)).round().astype(int))
    above.set_xticks(at, [str(mice[session - 1]) for session in at])
    above.set_xlabel("mice", fontsize=9)
    above.tick_params(length=2, labelsize=8)


def _draw_stages(ax: Axes, fractions: Mapping[str, list[float]]) -> None:
    heights = np.array(list(fractions.values()))
    heights = np.append(heights, heights[:, -1:], axis=1)  # steps: a session is as wide as any other, the last one too
    edges = np.arange(heights.shape[1]) + 0.5
    stages = np.array(list(fractions), int)
    colours = colormaps["Blues"](0.05 + 0.85 * stages / max(int(stages.max()), 5))
    ax.stackplot(edges, heights, step="post", colors=colours, labels=list(fractions), edgecolor=GREY, lw=0.4)
    ax.set(ylabel="fraction of mice", ylim=(0, 1))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="protocol stage", reverse=True)


def _by_session(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sessions from 1, and the values there, NaN for None."""
    known = np.array(values, float)
    return np.arange(1, len(known) + 1), known


def _marker(values: Any) -> str:
    return "o" if len(values) <= MANY else ""
