"""How a cohort looks: learning curves, psychometric curves by stage, biases, repeated choices, times, virtual and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twin.evaluation.statistics.fingerprint import LEAST_MICE
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREEN, GREY, VERMILLION, new_figure

SECTION = "Fingerprint"
STAGES = {"first": ("first 3 sessions", VERMILLION), "last": ("at proficiency", BLUE), "biased": ("biased sessions", GREEN)}
LEAST_SHARE = 0.25  # of the mice at the place that most of them know
TIMES = (("sessions_to_proficiency", "session", 1.0), ("trials_to_proficiency", "thousand trials", 1e-3))
FEW = 4  # recorded mice, at most, that are drawn one by one


def _both(shown: Shown) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The fingerprints of virtual mice and of recorded ones, empty without any; None where there is no fingerprint."""
    virtual = shown.results.get("fingerprint")
    return None if virtual is None else (virtual, shown.results.get("recorded") or {})


@figure(section=SECTION, place=0)
def fingerprint_statistics(shown: Shown) -> Figure | None:
    """How far every statistic is off its target."""
    if _both(shown) is None:
        return None
    return draw_statistics({name: row for name, row in shown.results["statistics"].items() if row.get("target") is not None})


def draw_statistics(rows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Statistics against targets: deviations with 95 % intervals, in standard deviations of the target; `rows` by name."""
    words = (
        "Statistics of the virtual mice minus their targets, in standard deviations of the target, with 95 % bootstrap "
        "intervals over mice; grey: two standard deviations."
    )
    canvas = new_figure(8, 1.2 + 0.27 * len(rows), words)
    ax = canvas.subplots()
    ax.axvspan(-2, 2, color=GREY, alpha=0.2, lw=0)
    ax.axvline(0, color=BLACK, lw=0.8)
    for place, row in enumerate(rows.values()):
        off = [np.nan if v is None else (v - row["target"]) / row["target_sd"] for v in (row["value"], *row["ci95"])]
        ax.plot(off[1:], [place, place], color=BLUE, lw=1.5)
        ax.plot(off[0], place, "o", color=BLUE)
    ax.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows])
    ax.set(xlabel="standard deviations off the target", ylim=(len(rows) - 0.5, -0.5))
    return canvas


@figure(section=SECTION, place=1)
def fingerprint_learning(shown: Shown) -> Figure | None:
    """Learning curves by session, and aligned at proficiency."""
    both = _both(shown)
    return None if both is None else draw_learning(*both)


def draw_learning(virtual: Mapping[str, Any], recorded: Mapping[str, Any]) -> Figure:
    """Bands of easy and of balanced performance by session, and the mean of easy performance before proficiency."""
    words = (
        "Bands: median, quartiles and 95 % of the virtual mice that are still in training at a session (a quarter or more). "
        "Black: recorded mice. Below 1/2: rigs repeat failed easy stimuli, on the side that a biased mouse neglects. Right: "
        "mean over proficient mice."
    )
    canvas = new_figure(10.5, 3.5, words)
    axes = canvas.subplots(1, 3, sharey=True)
    for ax, key, title in zip(axes, ("easy", "balanced"), ("easy trials", "mean of the two sides"), strict=False):
        _draw_band(ax, virtual[key], np.arange(1, 1 + len(virtual[key]["mice"])))
        _draw_recorded(ax, recorded, key)
        ax.set(title=title, xlabel="session of training", ylim=(0, 1.02))
        ax.axhline(0.5, color=BLACK, lw=0.8, ls=":")
    for mice, colour in ((virtual, BLUE), (recorded, BLACK)):
        curve = np.array(mice.get("aligned", []), float)[:30]
        axes[2].plot(-np.arange(len(curve)), curve, color=colour)
    axes[2].set(title="easy trials, aligned", xlabel="sessions from proficiency")
    axes[0].set_ylabel("fraction correct")
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return canvas


@figure(section=SECTION, place=2)
def fingerprint_psychometric(shown: Shown) -> Figure | None:
    """Psychometric curves by stage of training."""
    both = _both(shown)
    return None if both is None else draw_psychometric(*both)


def draw_psychometric(virtual: Mapping[str, Any], recorded: Mapping[str, Any]) -> Figure:
    """Fractions of right choices in first, last and biased sessions: median and quartiles over mice, each counted once."""
    canvas = new_figure(
        10.5, 3.3, "Right choices by stage; bands: median, quartiles and 95 % of virtual mice; black: recorded mice."
    )
    axes = canvas.subplots(1, 3, sharey=True)
    levels = np.array(virtual["levels"])
    for ax, (stage, (title, colour)) in zip(axes, STAGES.items(), strict=True):
        _draw_band(ax, virtual["psychometric"][stage], levels, colour)
        if recorded:
            known = _column(recorded["psychometric"][stage]["mean"], len(levels))
            ax.plot(levels[np.isfinite(known)], known[np.isfinite(known)], ".-", color=BLACK)
        ax.set(title=title, xlabel="signed contrast (%)", ylim=(-0.02, 1.02))
        ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
        ax.axvline(0, color=GREY, lw=0.8, ls=":", zorder=0)
    axes[0].set_ylabel("P(right choice)")
    return canvas


@figure(section=SECTION, place=3)
def fingerprint_proficiency(shown: Shown) -> Figure | None:
    """How many mice are proficient, by session and by trial."""
    both = _both(shown)
    return None if both is None else draw_proficiency(*both)


def draw_proficiency(virtual: Mapping[str, Any], recorded: Mapping[str, Any]) -> Figure:
    """Fraction of mice that are proficient after so many sessions and trials, and trials of a mouse's mean session."""
    canvas = new_figure(
        10.5, 3.2, "Proficient mice by session and by trial, and each mouse's mean session; black: recorded mice."
    )
    axes = canvas.subplots(1, 3)
    for ax, (key, unit, scale) in zip(axes, TIMES, strict=False):
        for mice, colour in ((virtual, BLUE), (recorded, BLACK)):
            times = np.sort([scale * time for time in mice.get(key, []) if time is not None])
            if len(times):
                ax.step([0, *times], np.arange(len(times) + 1) / len(mice[key]), where="post", color=colour)
        ax.set(xlabel=unit, ylabel="fraction proficient", ylim=(0, 1), xlim=(0, None))
    _histogram(axes[2], virtual["trials_per_session"], BLUE)
    _marks(axes[2], recorded.get("trials_per_session", []))
    axes[2].set(xlabel="trials in a session (mean of a mouse)", ylabel="mice")
    return canvas


@figure(section=SECTION, place=4)
def fingerprint_choices(shown: Shown) -> Figure | None:
    """Side biases over sessions, repeated choices, response times."""
    both = _both(shown)
    return None if both is None else draw_choices(*both)


def draw_choices(virtual: Mapping[str, Any], recorded: Mapping[str, Any]) -> Figure:
    """Side bias by session, win-stay against lose-shift in biased sessions, accuracy and response time by contrast."""
    words = (
        "Bands: median, quartiles and 95 % of virtual mice; black: recorded mice. Win-stay, lose-shift, accuracy and response "
        "times are of biased sessions; a point is a mouse."
    )
    canvas = new_figure(10.5, 6.2, words)
    axes = canvas.subplots(2, 2).ravel()
    _draw_band(axes[0], virtual["side_bias"], np.arange(1, 1 + len(virtual["side_bias"]["mice"])))
    _draw_recorded(axes[0], recorded, "side_bias")
    axes[0].set(xlabel="session of training", ylabel="side bias (right > 0)", ylim=(-0.52, 0.52))
    for mice, colour in ((virtual, BLUE), (recorded, BLACK)):
        if mice:
            pairs = np.array([mice["win_stay"], mice["lose_shift"]], float)
            axes[1].plot(*pairs, ".", color=colour, alpha=0.5 if colour == BLUE else 1)
    axes[1].set(xlabel="win-stay", ylabel="lose-shift", xlim=(0.4, 1), ylim=(0, 1))
    contrasts = np.array(virtual["contrasts"])
    for ax, key, label in zip(
        axes[2:], ("accuracy", "response_time"), ("fraction correct", "median response time (s)"), strict=True
    ):
        _draw_band(ax, virtual[key], contrasts)
        ax.set(xlabel="contrast (%)", ylabel=label)
    axes[2].set_ylim(0.3, 1.02)
    axes[3].set_ylim(0, None)
    return canvas


def _draw_band(ax: Axes, band: Mapping[str, Any], x: np.ndarray, colour: str = BLUE) -> None:
    """Median, quartiles and 95 % of virtual mice at the places x, where there are enough of them."""
    length = len(band["mice"])
    enough = np.array(band["mice"]) >= max(LEAST_MICE, LEAST_SHARE * max(band["mice"], default=0))
    lowest, low, median, high, highest = (np.array(row, float)[enough] for row in band["quantiles"])
    at = x[:length][enough]
    ax.fill_between(at, lowest, highest, color=colour, alpha=0.12, lw=0, label="95 % of mice")
    ax.fill_between(at, low, high, color=colour, alpha=0.28, lw=0, label="quartiles")
    ax.plot(at, median, color=colour, label="median")


def _draw_recorded(ax: Axes, recorded: Mapping[str, Any], key: str) -> None:
    """Recorded mice by session: the mean of one, else median and quartiles."""
    if not recorded:
        return
    band = recorded[key]
    session = np.arange(1, 1 + len(band["mice"]))
    _, low, median, high, _ = (np.array(row, float) for row in band["quantiles"])
    ax.plot(session, median, ".-" if recorded["mice"] <= FEW else "-", color=BLACK, lw=1, label="recorded")
    if recorded["mice"] > FEW:
        ax.plot(session, np.transpose([low, high]), color=BLACK, lw=0.7, ls="--")


def _column(values: Sequence[float | None], length: int) -> np.ndarray:
    """Values as an array of so many places, NaN where not known."""
    column = np.full(length, np.nan)
    column[: len(values)] = np.array(values, float)
    return column


def _histogram(ax: Axes, values: Sequence[float | None], colour: str) -> None:
    there = [value for value in values if value is not None]
    ax.hist(there, bins=25, color=colour, alpha=0.6)


def _marks(ax: Axes, values: Sequence[float | None]) -> None:
    for value in [value for value in values if value is not None]:
        ax.axvline(value, color=BLACK, lw=1)
