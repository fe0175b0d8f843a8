"""Figures of training designs compared: how many mice are not yet trained, and what each mouse gains or loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.report.plots import BLACK, GREY, MODEL_COLOURS, Figure, MaxNLocator, new_figure, styled

LINES = ("-", (0, (5, 1.5)), (0, (1, 1)))  # designs beyond the number of colours take the next style
CLIPPED = 0.99  # share of the mice whose differences are within the axis
WORDS = {-1: "faster", 0: "the same", 1: "slower"}
HEIGHT = 0.7  # of the tallest bar, rows being 1 apart


def _look(i: int) -> dict[str, Any]:
    return {"color": MODEL_COLOURS[i % len(MODEL_COLOURS)], "ls": LINES[i // len(MODEL_COLOURS) % len(LINES)]}


@styled
def survival_curves(designs: Mapping[str, Mapping[str, Any]], status: str) -> Figure:
    """Fraction of mice not yet at a status after each session, one line per design with its 95 % band.

    `designs`: name -> {survival (H + 1,), survival_ci95 (2, H + 1), fraction_trained, median_sessions}, as `compare_designs`
    gives them. A cross marks the mice that had not reached the status when training ended.
    """
    status = status.replace("_", " ")
    words = (
        f"Fraction of mice not yet {status} after each session; bands are 95 % intervals, crosses mice untrained at the end."
    )
    figure = new_figure(8.5, 4.2, words)
    ax = figure.subplots()
    for i, (name, design) in enumerate(designs.items()):
        curve, (low, high) = np.asarray(design["survival"]), np.asarray(design["survival_ci95"])
        session, median = np.arange(len(curve)), design["median_sessions"]
        half = f"half by session {median:.0f}" if median is not None else "never half"
        label = f"{name}\n{100 * design['fraction_trained']:.0f} % trained, {half}"
        ax.fill_between(session, low, high, step="post", color=_look(i)["color"], alpha=0.13, lw=0)
        ax.step(session, curve, where="post", label=label, **_look(i))
        if curve[-1] > 0:
            ax.plot(session[-1], curve[-1], "x", color=_look(i)["color"], ms=7, clip_on=False)
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.set(xlabel="session", ylabel=f"fraction of mice not yet {status}", ylim=(0, 1.02), xlim=(0, len(curve) - 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), labelspacing=1.1)
    return figure


@styled
def paired_differences(sessions: Mapping[str, np.ndarray], comparisons: Sequence[Mapping[str, Any]], horizon: int) -> Figure:
    """What each design costs each mouse, in sessions more than under the first design; mean with its 95 % interval.

    `sessions`: name -> (M,) sessions until the status or the horizon; `comparisons` as `compare_designs` gives them. Bars
    are shares of mice, the same scale in every row; the bar of mice without a difference is left out and its share printed.
    """
    (first, reference), *others = sessions.items()
    differences = {name: values - reference for name, values in others}
    reach = max(2.0, float(np.ceil(np.quantile(np.abs(np.concatenate(list(differences.values()))), CLIPPED))))
    shares = {name: _shares(values, reach) for name, values in differences.items()}
    tallest = max(float(share.max(initial=0.0)) for _, share in shares.values())
    words = (
        f"Sessions more than under {first}, mouse by mouse, until the status or session {horizon}; bars are shares of mice "
        f"(the tallest {100 * tallest:.0f} %, the end ones with all beyond), points means with 95 % bootstrap intervals."
    )
    figure = new_figure(8.5, 1.2 + 0.95 * len(others), words)
    ax = figure.subplots()
    for i, (name, values) in enumerate(differences.items()):
        at, share = shares[name]
        row, colour = len(others) - 1 - i, MODEL_COLOURS[(i + 1) % len(MODEL_COLOURS)]
        ax.bar(at, share * (HEIGHT / (tallest or 1.0)), 0.8, bottom=row, color=colour, alpha=0.45)
        mean, low, high = _pair(comparisons, name, first)
        ax.hlines(row, low, high, color=BLACK, lw=2.5, zorder=3)
        ax.plot(mean, row, "o", mfc=colour, mec=BLACK, zorder=4, clip_on=False)
        signs = [
            f"{100 * np.mean(np.sign(values) == s):.0f} % {word}"
            for s, word in ((-1, "faster"), (0, "the same"), (1, "slower"))
        ]
        text = "\n".join([f"mean {mean:+.2f} [{low:+.2f}, {high:+.2f}]", *signs]).replace("-", "−")
        ax.text(1.02, row + HEIGHT / 2, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    ax.axvline(0.0, color=BLACK, lw=0.8, ls=":", zorder=0)
    ax.set_yticks(np.arange(len(others)) + HEIGHT / 2, [name for name, _ in reversed(others)])
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=f"sessions more than under {first}", xlim=(-reach - 0.7, reach + 0.7), ylim=(-0.2, len(others)))
    return figure


def _shares(values: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Differences other than 0 and the share of mice with each; those beyond `reach` are counted at its end."""
    at, counts = np.unique(np.clip(np.round(values), -round(reach), round(reach)), return_counts=True)
    return at[at != 0], counts[at != 0] / len(values)


def _pair(comparisons: Sequence[Mapping[str, Any]], name: str, first: str) -> tuple[float, float, float]:
    """Mean difference of a design less the first, and its interval."""
    (pair,) = [p for p in comparisons if {p["a"], p["b"]} == {name, first}]
    sign = 1 if pair["a"] == name else -1
    low, high = sorted(sign * limit for limit in pair["ci95"])
    return sign * pair["difference"], low, high
