"""Estimated parameters against the true ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agents.rules import RULES
from agents.theta import TRAITS
from twin.report.figures import figure
from twin.report.shown import Shown
from twin.report.style import BLACK, BLUE, VERMILLION, new_figure

STRAY = 5.0  # times the usual error and half interval: an estimate farther from the truth does not stretch the axis


@figure(section="Parameters")
def parameters(shown: Shown) -> dict[str, Figure]:
    """Parameters of each model that has some, where the truth is known."""
    models = shown.results.get("models", {})
    known = {name: model["parameters"] for name, model in models.items() if model.get("parameters")}
    return {f"parameters-{name}": draw_parameters(name, values) for name, values in known.items()}


def draw_parameters(model: str, values: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Estimates with 95 % intervals against true values, one panel per parameter, intervals that miss the truth in red.

    `values`: parameter -> {true, estimate: (M,), ci95: (M, 2), covered}, as `recovery` returns them.
    """
    columns = min(len(values), 3)
    rows = math.ceil(len(values) / columns)
    words = (
        f"Parameters estimated by {model} against the true ones; bars are 95 % intervals, red where they miss; triangles lie "
        "beyond the axis."
    )
    units = {p.name: p.unit for p in (*TRAITS, *(p for rule in RULES.values() for p in rule.parameters))}
    canvas = new_figure(max(3.2 * columns, 4.5), 3.2 * rows, words)
    for i, (name, p) in enumerate(values.items()):
        ax = canvas.add_subplot(rows, columns, i + 1)
        _draw_parameter(ax, *(np.asarray(p[key], float) for key in ("true", "estimate", "ci95")))
        ax.set_ylabel(f"estimate ({units.get(name.split('.')[0], 'natural units')})")
        ax.set_title(f"{name}\ntruth in {100 * p['covered']:.0f} % of intervals")
    return canvas


def _draw_parameter(ax: Axes, true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> None:
    floor, ceiling = axis_limits(true, estimate, ci95)
    at = _draw_truth(ax, true, estimate)
    missed = (true < ci95[:, 0]) | (true > ci95[:, 1])
    edge = 0.02 * (ceiling - floor)
    shown = np.clip(estimate, floor + edge, ceiling - edge)
    for pick, colour in ((~missed, BLUE), (missed, VERMILLION)):
        ax.vlines(at[pick], *np.clip(ci95[pick].T, floor, ceiling), color=colour, lw=1, alpha=0.6)
        for where, marker in ((shown == estimate, "o"), (shown < estimate, "^"), (shown > estimate, "v")):
            ax.plot(at[pick & where], shown[pick & where], marker, color=colour, ms=4)
    ax.set_ylim(floor, ceiling)


def _draw_truth(ax: Axes, true: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Where estimates should lie, dashed; returns their places along the axis (M,): the truth or, if all share it, the rank."""
    if np.ptp(true) > 0:
        margin = 0.08 * np.ptp(true)
        line = np.array([true.min() - margin, true.max() + margin])
        ax.plot(line, line, color=BLACK, lw=0.8, ls="--")
        ax.set(xlabel="true", xlim=line)
        ax.locator_params(axis="x", nbins=5)
        return true
    ax.axhline(true[0], color=BLACK, lw=0.8, ls="--")
    ax.set(xlabel="mouse (in order of estimate)", xlim=(0.4, len(true) + 0.6))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return np.argsort(np.argsort(estimate)) + 1


def axis_limits(true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> tuple[float, float]:
    """An axis for true values, estimates (M,) and typical intervals (M, 2), whatever strays and unbounded intervals are."""
    error, half = np.abs(estimate - true), np.abs(ci95 - estimate[:, None])
    typical = float(np.median(half[np.isfinite(half)])) if np.isfinite(half).any() else 0.0
    core = np.concatenate([true, estimate[error <= STRAY * (np.median(error) + typical)]])
    span = float(np.ptp(core))
    pad = max(min(1.5 * typical, span or math.inf), 0.1 * span) or max(0.1 * abs(core[0]), 1e-3)
    return float(core.min()) - pad, float(core.max()) + pad
