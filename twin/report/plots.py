"""Figures of results: what mice did, how their weights moved, and how well rules, parameters and choices were inferred.

Every function returns a `matplotlib.figure.Figure` of its own; pyplot and its global state are not used. Colours are those of
Okabe & Ito (2008), which colour-blind readers tell apart. `figure.get_label()` says in words what a figure shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from agents.rules import RULES
from agents.theta import TRAITS
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.performance import FIRST_LAST
from twin.evaluation.psychometric.curve import psychometric
from twin.evaluation.session_summary import EASY_CONTRAST
from twin.report.plots_behavior import Z95, choices, easy_performance, ends, stage_fractions
from twin.report.plots_rules import Update, UpdateGrid, recovery_limits, update_grid

BLACK, GREY, BLUE, VERMILLION, GREEN = "#000000", "#8c8c8c", "#0072b2", "#d55e00", "#009e73"
MODEL_COLOURS = (BLUE, VERMILLION, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
STYLE: Any = {  # matplotlib settings of every figure
    **{f"axes.spines.{side}": False for side in ("right", "top")},
    **{f"{part}.facecolor": "white" for part in ("figure", "axes", "savefig")},
    **{f"{text}.labelsize": 9 for text in ("xtick", "ytick")},
    "axes.titlesize": 10,
    "figure.constrained_layout.w_pad": 0.08,  # inches
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.markersize": 5,
}
styled = rc_context(STYLE)  # decorates what draws
UNITS = {p.name: p.unit for p in (*TRAITS, *(p for rule in RULES.values() for p in rule.parameters))}
MICE_DRAWN = 20
MANY = 30  # sessions from which they are drawn without markers
SCORES = {  # key: label, marker, its face and edge, vertical offset
    "train_ll_per_trial": ("training trials", "o", "white", BLUE, -0.12),
    "heldout_ll_per_trial": ("held out (bar: 95 % interval)", "D", GREEN, GREEN, 0.0),
    "future_ll_per_trial": ("future trials", "o", BLUE, BLUE, 0.12),
}


def save_png(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 150 dots per inch, margins trimmed."""
    Path(path).write_bytes(png_bytes(figure))


@styled
def png_bytes(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, 150 dots per inch, margins trimmed."""
    file = BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or every drawing would move things a little
    figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
    return file.getvalue()


def new_figure(width: float, height: float, description: str) -> Figure:
    """An empty figure, sizes in inches, that a description of what it shows goes with."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(description)
    return figure


@styled
def psychometric_curve(rollout: Rollout) -> Figure:
    """P(right) against signed contrast, pooled over mice, in the first and the last three sessions of each; no-gos left out."""
    words = "Right choices against signed contrast, pooled over mice; bars are 95 % Wilson intervals, lines fitted erf curves."
    figure = new_figure(8, 4, words)
    ax = figure.subplots()
    early, late = ends(rollout)
    if np.array_equal(early, late):
        _draw_psychometric(ax, rollout, early, "all sessions", BLUE, "o")
    else:
        _draw_psychometric(ax, rollout, early, f"first {FIRST_LAST} sessions", VERMILLION, "s")
        _draw_psychometric(ax, rollout, late, f"last {FIRST_LAST} sessions", BLUE, "o")
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.axvline(0.0, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.set(xlabel="signed contrast (%, positive = right)", ylabel="P(right choice)", xlim=(-105, 105), ylim=(-0.02, 1.02))
    ax.set_xticks([-100, -50, -25, 0, 25, 50, 100])
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.4)
    return figure


def _draw_psychometric(ax: Axes, rollout: Rollout, pick: np.ndarray, name: str, colour: str, marker: str) -> None:
    c = choices(rollout, pick)
    label = f"{name}\n{c.n:,} choices"
    if c.fit is None:
        label += "\n(no rising curve)"
    else:
        fine = np.linspace(c.levels.min(), c.levels.max(), 400)
        ax.plot(fine, psychometric(fine, *c.fit[:4]), color=colour)
        bias = f"{round(c.fit.bias, 1) + 0.0:+.1f}".replace("-", "−")
        known = f"threshold {c.fit.threshold:.1f} %\nbias {bias} %"
        label += "\n" + (known if c.on_slope else "threshold, bias unknown:\nno contrast on the slope")
        label += f"\nlapses: left {c.fit.lapse_low:.2f}, right {c.fit.lapse_high:.2f}"
    bars = np.maximum([c.p - c.low, c.high - c.p], 0.0)
    ax.errorbar(c.levels, c.p, bars, fmt=marker, color=colour, elinewidth=1, label=label)


@styled
def learning_curve(rollout: Rollout) -> Figure:
    """Fraction correct on easy trials by session, and the fraction of mice in each protocol stage if stages are known."""
    staged = "stage" in rollout.columns
    figure = new_figure(8, 5.6 if staged else 3.4, "Fraction correct on easy trials by session; no-gos count as errors.")
    axes = figure.subplots(1 + staged, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 1 + staged])[:, 0]
    correct, contrast = easy_performance(rollout)
    easy = f"|contrast| {'≥' if contrast == EASY_CONTRAST else '='} {100 * contrast:g} %"
    _draw_performance(axes[0], correct, rollout.ids)
    axes[0].set(ylabel=f"fraction correct\n({easy})", ylim=(0, 1.02), xlim=(0.5, correct.shape[1] + 0.5))
    axes[0].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    if staged:
        _draw_stages(axes[1], rollout)
    axes[-1].set_xlabel("session")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _draw_performance(ax: Axes, correct: np.ndarray, ids: Sequence[str]) -> None:
    session = np.arange(1, correct.shape[1] + 1)
    marker, alone = "o" if len(session) <= MANY else "", len(ids) == 1
    some = np.unique(np.linspace(0, len(ids) - 1, MICE_DRAWN).astype(int))
    thin: Any = {"color": GREY, "lw": 0.6, "alpha": 0.6, "marker": "." if len(session) == 1 else ""}
    for m in some:
        label = "_" if m else ids[0] if alone else f"single mice ({len(some)} of {len(ids)})"
        ax.plot(session, correct[m], label=label, **({"color": BLUE, "marker": marker} if alone else thin))
    seen = np.isfinite(correct).any(axis=0)
    if not alone and seen.any():
        low, median, high = np.nanpercentile(correct[:, seen], [25, 50, 75], axis=0)
        ax.fill_between(session[seen], low, high, color=BLUE, alpha=0.25, lw=0, label="interquartile range")
        ax.plot(session[seen], median, color=BLUE, marker=marker, ms=4, label="median over mice")
    ax.axhline(0.5, color=BLACK, lw=0.8, ls=":", label="chance")


def _draw_stages(ax: Axes, rollout: Rollout) -> None:
    stages, fraction = stage_fractions(rollout)
    heights = np.append(fraction, fraction[:, -1:], axis=1)  # steps: a session is as wide as any other, the last one too
    edges = np.arange(heights.shape[1]) + 0.5
    colours = colormaps["Blues"](0.05 + 0.85 * stages / max(int(stages.max()), 5))
    ax.stackplot(edges, heights, step="post", colors=colours, labels=[str(k) for k in stages], edgecolor=GREY, lw=0.4)
    ax.set(ylabel="fraction of mice", ylim=(0, 1))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="protocol stage", reverse=True)


@styled
def weight_trajectories(
    trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None = None, mouse: int = 0
) -> Figure:
    """Weights (M, T, K) of one mouse, one panel per feature: true ones and those of each model, by its name."""
    n, features = int(trials.lengths[mouse]), trials.features
    figure = new_figure(9, 0.8 + 1.7 * len(features), f"Weights of {trials.ids[mouse]}; vertical lines are session starts.")
    axes = figure.subplots(len(features), 1, sharex=True, squeeze=False)[:, 0]
    trial = np.arange(1, n + 1)
    for k, (ax, feature) in enumerate(zip(axes, features, strict=True)):
        ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
        for start in trial[trials.new_session[mouse, :n]][1:]:
            ax.axvline(start - 0.5, color=GREY, lw=0.6, alpha=0.5, zorder=0)
        if true is not None:
            ax.plot(trial, true[mouse, :n, k], color=BLACK, label="true")
        for i, (name, weights) in enumerate(inferred.items()):
            colour = MODEL_COLOURS[i % len(MODEL_COLOURS)]
            ax.plot(trial, weights[mouse, :n, k], color=colour, ls=(0, (4, 1.5)), label=name)
        ax.set(ylabel=f"weight of\n{feature.replace('_', ' ')}\n(logit per unit)", xlim=(1, max(n, 2)))
    axes[-1].set_xlabel("trial")
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


@styled
def update_heatmap(
    updates: Mapping[str, Update],
    features: Sequence[str],
    weight_range: tuple[float, float],
    stimulus_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Update of the stimulus weight over stimulus and stimulus weight at bias weight 0, per rule ('true' first) and choice.

    The reward is 1 if the choice agrees with the sign of the stimulus. Raises ValueError without a stimulus or a bias feature.
    """
    grid = update_grid(updates, features, weight_range, stimulus_range)
    words = "Change of the stimulus weight in one trial, by stimulus, stimulus weight and choice; bias weight 0."
    figure = new_figure(9.5, 1.6 + 2.0 * len(updates), words)
    axes = figure.subplots(len(updates), 3, sharex=True, squeeze=False)
    top = float(np.abs(list(grid.maps.values())).max()) or 1.0
    scale: Any = {"cmap": "RdBu_r", "vmin": -top, "vmax": top, "origin": "lower", "aspect": "auto"}
    for row, (name, pair) in zip(axes, grid.maps.items(), strict=True):
        for ax, update, side in zip(row, pair, ("right", "left"), strict=False):
            image = ax.imshow(update, extent=(*stimulus_range, *weight_range), **scale)
            ax.set_title(f"{name}: {side} choices")
        row[0].set_ylabel("stimulus weight\n(logit per unit)")
        row[1].tick_params(labelleft=False)
        _draw_slices(row[2], grid, name)
    _label_heatmap(axes)
    label = "change of stimulus weight (logit per unit, per trial)"
    bar = figure.colorbar(image, ax=axes[:, :2], location="bottom", shrink=0.7, aspect=40, pad=0.03, label=label)
    bar.locator = MaxNLocator(5)
    lines = [("after correct", BLUE, "-"), ("after incorrect", VERMILLION, "-"), ("inferred", BLACK, "--")]
    lines += [("true", BLACK, "-")] if "true" in updates else []
    handles = [Line2D([], [], color=colour, ls=line, label=label) for label, colour, line in lines]
    figure.legend(handles=handles, loc="outside upper right", ncols=4)
    return figure


def _draw_slices(ax: Axes, grid: UpdateGrid, name: str) -> None:
    """True updates solid, those of the model dashed; broken at 0, where the choice changes."""
    side = int(np.sum(grid.stimulus < 0))
    for rule in [rule for rule in grid.slices if rule in ("true", name)]:
        for update, colour in zip(grid.slices[rule], (BLUE, VERMILLION), strict=True):
            line = "-" if rule == "true" else "--"
            ax.plot(np.insert(grid.stimulus, side, np.nan), np.insert(update, side, np.nan), ls=line, color=colour)
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
    ax.set_title(f"{name}: at weight {grid.weight:.3g}")


def _label_heatmap(axes: np.ndarray) -> None:
    limits = np.array([ax.get_ylim() for ax in axes[:, 2]])
    for ax in axes[:, 2]:
        ax.set(ylim=(limits.min(), limits.max()), ylabel="change per trial\n(logit per unit)")
    for ax in axes[-1]:
        ax.set_xlabel("stimulus feature (right > 0)")
    for ax in axes.flat:
        ax.locator_params(nbins=4)


@styled
def parameter_recovery(parameters: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Estimates with 95 % intervals against true values, one panel per parameter, intervals that miss the truth in red.

    `parameters`: name -> {true, estimate: (M,), ci95: (M, 2), covered}, as `recovery` returns them. Raises ValueError if empty.
    """
    if not parameters:
        raise ValueError("no parameters to plot: expected those of a closed-form rule's recovery; a neural rule has none")
    columns = min(len(parameters), 3)
    rows = math.ceil(len(parameters) / columns)
    words = "Estimated against true parameters; bars are 95 % intervals, red where they miss; triangles lie beyond the axis."
    figure = new_figure(max(3.2 * columns, 4.5), 3.2 * rows, words)
    for i, (name, p) in enumerate(parameters.items()):
        ax = figure.add_subplot(rows, columns, i + 1)
        _draw_recovery(ax, *(np.asarray(p[key], float) for key in ("true", "estimate", "ci95")))
        ax.set_ylabel(f"estimate ({UNITS.get(name.split('.')[0], 'natural units')})")
        ax.set_title(f"{name}\ntruth in {100 * p['covered']:.0f} % of intervals")
    return figure


def _draw_recovery(ax: Axes, true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> None:
    floor, ceiling = recovery_limits(true, estimate, ci95)
    if np.ptp(true) > 0:
        at, margin = true, 0.08 * np.ptp(true)
        line = np.array([true.min() - margin, true.max() + margin])
        ax.plot(line, line, color=BLACK, lw=0.8, ls="--")
        ax.set(xlabel="true", xlim=line)
        ax.locator_params(axis="x", nbins=5)
    else:
        at = np.argsort(np.argsort(estimate)) + 1
        ax.axhline(true[0], color=BLACK, lw=0.8, ls="--")
        ax.set(xlabel="mouse (in order of estimate)", xlim=(0.4, len(true) + 0.6))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    missed = (true < ci95[:, 0]) | (true > ci95[:, 1])
    edge = 0.02 * (ceiling - floor)
    shown = np.clip(estimate, floor + edge, ceiling - edge)
    for pick, colour in ((~missed, BLUE), (missed, VERMILLION)):
        ax.vlines(at[pick], *np.clip(ci95[pick].T, floor, ceiling), color=colour, lw=1, alpha=0.6)
        for where, marker in ((shown == estimate, "o"), (shown < estimate, "^"), (shown > estimate, "v")):
            ax.plot(at[pick & where], shown[pick & where], marker, color=colour, ms=4)
    ax.set_ylim(floor, ceiling)


@styled
def model_comparison(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Log-likelihood per trial of each model on trials it was trained on, held-out and future ones, where given (`SCORES`).

    Raises ValueError if there is no score at all.
    """
    figure = new_figure(7.5, 1.5 + 0.45 * len(results), "Log-likelihood per trial of each model; further right is better.")
    ax = figure.subplots()
    for key, (label, marker, face, edge, offset) in SCORES.items():
        found = [(i + offset, r[key]) for i, r in enumerate(results.values()) if r.get(key) is not None]
        for y, score in found:
            ax.plot(score, y, marker, ms=7, mfc=face, mec=edge, label=label if y == found[0][0] else "_")
    if not ax.lines:
        raise ValueError(f"no scores to plot for {list(results)}: expected one of {', '.join(SCORES)}")
    for i, r in enumerate(results.values()):
        if r.get("heldout_se") is not None:
            half = Z95 * r["heldout_se"]
            ax.hlines(i, r["heldout_ll_per_trial"] - half, r["heldout_ll_per_trial"] + half, color=GREEN, lw=1)
    ax.axvline(math.log(0.5), color=BLACK, lw=0.8, ls=":", label="chance, log ½")
    ax.grid(axis="y", color=GREY, lw=0.4, alpha=0.5)
    ax.set_yticks(range(len(results)), list(results))
    ax.set(xlabel="log-likelihood per trial (nats)", ylabel="model", ylim=(len(results) - 0.5, -0.5))
    figure.legend(loc="outside upper center", ncols=4)
    return figure
