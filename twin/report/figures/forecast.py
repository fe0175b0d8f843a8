"""The forecast of one mouse as a fan, back-tests of it, and what designs would cost it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, GREY, SERIES_COLOURS, new_figure

ACCURACY = "fraction correct\n(|contrast| ≥ 50 %)"
COLUMNS = 4  # of panels, at most


@figure(section="Forecast")
def forecast(shown: Shown) -> Figure | None:
    """The sessions to come, where a mouse was forecast."""
    results = shown.results
    if "forecast" not in results:
        return None
    return draw_forecast(results["forecast"], results["record"]["accuracy"], results["sessions"])


def draw_forecast(found: Mapping[str, Any], record: Sequence[float | None], known: int) -> Figure:
    """Accuracy of a mouse and its forecast, when it reaches each status, and the psychometric curve at the end.

    `found` as `twin.twins.futures.describe` gives it; of the `record`, by session, the first `known` were.
    """
    words = (
        "Left: fraction correct on easy trials; black what was known, open circles what followed; the forecast's median, 50 "
        "and 80 % bands. Middle: probability that a status is reached by a session. Right: right choices in the last three "
        "sessions that are forecast, with the same bands."
    )
    canvas = new_figure(11.5, 3.6, words)
    axes = canvas.subplots(1, 3, width_ratios=[5, 3, 3])
    _draw_record(axes[0], record, known)
    _draw_fan(axes[0], np.arange(known + 1, known + 1 + len(found["accuracy"][0])), found["accuracy"])
    axes[0].set(xlabel="session", ylabel=ACCURACY, ylim=(0, 1.02))
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    for (status, one), colour in zip(found["statuses"].items(), SERIES_COLOURS, strict=False):
        chance = [0.0, *one["by_session"]]
        axes[1].step(known + np.arange(len(chance)), chance, where="post", color=colour, label=status.replace("_", " "))
    axes[1].set(xlabel="session", ylabel="P(status reached by then)", ylim=(0, 1.02))
    if found["statuses"]:
        axes[1].legend(loc="upper left")
    else:
        axes[1].set_axis_off()
        axes[1].text(0.5, 0.5, "no further status\nwithin these sessions", ha="center", transform=axes[1].transAxes)
    _draw_fan(axes[2], np.array(found["psychometric"]["levels"]), found["psychometric"]["p_right"])
    axes[2].set(xlabel="signed contrast (%)", ylabel="P(right choice)", ylim=(-0.02, 1.02))
    for ax in axes[:2]:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return canvas


@figure(section="Back-test", place=0)
def backtest(shown: Shown) -> Figure | None:
    """Forecasts from earlier points of the record, where they were tested."""
    tested = shown.results.get("backtest")
    return None if tested is None else draw_backtest(tested["cuts"], shown.results["record"]["accuracy"])


def draw_backtest(cuts: Sequence[Mapping[str, Any]], record: Sequence[float | None]) -> Figure:
    """One panel for each point of the record: the forecast from there, and what followed."""
    words = "Forecasts from earlier points of the record (median, 50 and 80 % bands); black what was known, open what followed."
    columns = min(COLUMNS, len(cuts))
    rows = -(-len(cuts) // columns)
    canvas = new_figure(2.9 * columns + 0.6, 2.6 * rows, words)
    axes = canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, cut in zip(axes.ravel(), cuts, strict=False):
        _draw_record(ax, record, cut["session"])
        _draw_fan(ax, np.arange(cut["session"] + 1, cut["session"] + 1 + len(cut["fan"][0])), cut["fan"])
        ax.set(title=f"after {cut['trial']:,} trials", xlabel="session", ylim=(0, 1.02))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in axes.ravel()[len(cuts) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel(ACCURACY)
    return canvas


@figure(section="Back-test", place=1)
def backtest_scores(shown: Shown) -> Figure | None:
    """How good the forecasts were, beside simple ones."""
    tested = shown.results.get("backtest")
    return None if tested is None else draw_scores(tested["scores"])


def draw_scores(scores: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Where accuracies fell among the twins' futures (PIT), and CRPS and log score of every forecaster."""
    words = (
        "Left: place of the accuracies that came among the twins' futures; flat if forecasts are right (dotted), higher at the "
        "ends if they are too sure. Middle: CRPS of accuracies, lower is better. Right: log-probability of the next choices."
    )
    canvas = new_figure(11, 3.2, words)
    axes = canvas.subplots(1, 3)
    counts = scores["twin"].get("pit", [])
    if counts:
        edges = np.linspace(0, 1, len(counts) + 1)
        axes[0].stairs(counts, edges, fill=True, color=BLUE, alpha=0.5)
        axes[0].axhline(sum(counts) / len(counts), color=BLACK, lw=0.8, ls=":")
    axes[0].set(xlabel="place among the futures (PIT)", ylabel="sessions", xlim=(0, 1))
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    for ax, key, label in (
        (axes[1], "crps", "CRPS (fraction correct)"),
        (axes[2], "log_score", "log-likelihood per choice (nats)"),
    ):
        for place, (name, one) in enumerate(scores.items()):
            ax.plot(one[key], place, "o", color=BLUE if name == "twin" else GREY)
        ax.set_yticks(range(len(scores)), list(scores))
        ax.set(xlabel=label, ylim=(len(scores) - 0.5, -0.5))
        ax.grid(axis="x", color=GREY, alpha=0.3)
    axes[1].set_xlim(0, None)
    return canvas


@figure(section="Designs", place=1)
def expected_sessions(shown: Shown) -> Figure | None:
    """Expected sessions of a mouse under each design, where they were compared on its twins."""
    compared = shown.results.get("recommended")
    return None if compared is None else draw_expected(compared)


def draw_expected(compared: Mapping[str, Any]) -> Figure:
    """Expected sessions to a status by design with 95 % intervals, and where 80 % of the twins lie."""
    status, names = compared["until"].replace("_", " "), [place["design"] for place in compared["ranking"]]
    words = (
        f"Sessions of the mouse until {status}, or until the horizon of {compared['horizon']}: expected, with its 95 % "
        "interval (thick), and the middle 80 % of the twins (thin)."
    )
    canvas = new_figure(7.5, 1.1 + 0.4 * len(names), words)
    ax = canvas.subplots()
    for row, name in enumerate(names):
        design, (low, _, high) = compared["designs"][name], compared["one_mouse"][name]
        ax.plot([low, high], [row, row], color=GREY, lw=1)
        ax.plot(design["ci95"]["sessions"], [row, row], color=BLUE, lw=4, alpha=0.5, solid_capstyle="butt")
        ax.plot(design["mean_sessions"], row, "o", color=BLUE)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=f"sessions until {status}", ylim=(len(names) - 0.5, -0.5), xlim=(0, compared["horizon"]))
    return canvas


def _draw_record(ax: Axes, record: Sequence[float | None], known: int) -> None:
    """Accuracies by session: those that were known, and those that followed."""
    session, accuracy = np.arange(1, 1 + len(record)), np.array(record, float)
    ax.plot(session[:known], accuracy[:known], ".-", color=BLACK, label="known")
    if len(record) > known:
        ax.plot(session[known:], accuracy[known:], "o", mfc="white", mec=BLACK, ms=4, zorder=3, label="what followed")
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)


def _draw_fan(ax: Axes, at: np.ndarray, quantiles: Sequence[Sequence[float | None]]) -> None:
    """Median, 50 and 80 % bands at places (H,)."""
    lowest, low, middle, high, highest = (np.array(row, float) for row in quantiles)
    ax.fill_between(at, lowest, highest, color=BLUE, alpha=0.15, lw=0, label="80 %")
    ax.fill_between(at, low, high, color=BLUE, alpha=0.3, lw=0, label="50 %")
    ax.plot(at, middle, color=BLUE, label="forecast")
