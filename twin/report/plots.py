"""Figures of results: what mice did, how their weights moved, and how well rules, parameters and choices were inferred.

Every function returns a `matplotlib.figure.Figure` of its own; pyplot and its global state are not used. Colours are those of
Okabe & Ito (2008), which colour-blind readers tell apart. `figure.get_label()` says in words what a figure shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from agents.rules import RULES
from agents.theta import TRAITS
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.psychometrics import fit_psychometric, psychometric, summarise
from twin.evaluation.session_summary import EASY_CONTRAST

Update = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (w, x, choice, reward) -> (N, K)

BLACK, GREY, BLUE, VERMILLION, GREEN = "#000000", "#8c8c8c", "#0072b2", "#d55e00", "#009e73"
MODEL_COLOURS = (BLUE, VERMILLION, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
STAGE_COLOURS = ("#f0f4f8", "#cfe0ee", "#9fc5e0", "#62a3cf", "#2c79b1", "#12507f", "#082f50", "#041a2e")  # light to dark
STYLE: Any = {  # matplotlib settings of every figure
    "axes.axisbelow": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.facecolor": "white",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
UNITS = {p.name: p.unit for rule in RULES.values() for p in rule.parameters} | {p.name: p.unit for p in TRAITS}
WINDOW = 3  # sessions at either end of a mouse's record
FIT_LEVELS = 4  # a curve of four parameters needs as many contrasts
MICE_DRAWN = 20
Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution
CELLS = 60  # of a heat map along either side; even, so that no cell is centred on a zero stimulus
SCORES = (  # key, label, marker, filled, vertical offset
    ("train_ll_per_trial", "training trials", "o", False, -0.12),
    ("heldout_ll_per_trial", "held out (bar: 95 % interval)", "D", True, 0.0),
    ("future_ll_per_trial", "future trials", "o", True, 0.12),
)


def save_png(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 150 dots per inch, margins trimmed."""
    Path(path).write_bytes(png_bytes(figure))


@rc_context(STYLE)
def png_bytes(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, 150 dots per inch, margins trimmed."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
    return file.getvalue()


def _figure(width: float, height: float, description: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(description)
    return figure


# What mice did


@rc_context(STYLE)
def psychometric_curve(rollout: Rollout) -> Figure:
    """P(right) against signed contrast, pooled over mice, in the first and the last three sessions of each; no-gos left out."""
    figure = _figure(8, 4, "Right choices against signed contrast, early and late in training; bars are 95 % Wilson intervals.")
    ax = figure.subplots()
    early, late = _ends(rollout)
    if np.array_equal(early, late):
        _draw_psychometric(ax, rollout, early, "all sessions", BLUE, "o")
    else:
        _draw_psychometric(ax, rollout, early, f"first {WINDOW} sessions", VERMILLION, "s")
        _draw_psychometric(ax, rollout, late, f"last {WINDOW} sessions", BLUE, "o")
    ax.axhline(0.5, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.axvline(0.0, color=GREY, lw=0.8, ls=":", zorder=0)
    ax.set(xlabel="signed contrast (%, positive = right)", ylabel="P(right choice)", xlim=(-105, 105), ylim=(-0.02, 1.02))
    ax.set_xticks([-100, -50, -25, 0, 25, 50, 100])
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.4)
    return figure


def _ends(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    """Is a trial in the first, and is it in the last, WINDOW sessions of its mouse? (N,) each."""
    s = rollout.sessions
    number = np.arange(len(s.mouse))
    early = number - np.searchsorted(s.mouse, s.mouse) < WINDOW
    late = np.searchsorted(s.mouse, s.mouse, side="right") - number <= WINDOW
    return np.repeat(early, s.stop - s.start), np.repeat(late, s.stop - s.start)


def _draw_psychometric(ax: Axes, rollout: Rollout, pick: np.ndarray, name: str, colour: str, marker: str) -> None:
    levels, n, p = summarise(rollout.contrast[pick], rollout.choice[pick], no_go="excluded")
    levels, n, p = levels[n > 0], n[n > 0], p[n > 0]
    low, high = wilson(p, n)
    label = f"{name}\n{n.sum():,} choices"
    if len(levels) >= FIT_LEVELS:
        fit = fit_psychometric(levels, n, p)
        label += f"\nthreshold {fit.threshold:.1f} %\nbias {fit.bias:+.1f} %"
        label += f"\nlapses: left {fit.lapse_low:.2f}, right {fit.lapse_high:.2f}"
        fine = np.linspace(levels.min(), levels.max(), 400)
        ax.plot(fine, psychometric(fine, *fit[:4]), color=colour)
    bars = np.maximum([p - low, high - p], 0.0)
    ax.errorbar(levels, p, bars, fmt=marker, color=colour, elinewidth=1, label=label)


def wilson(p: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals (low, high) of binomial fractions p of n trials (Wilson 1927, J Am Stat Assoc 22:209)."""
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return centre - half, centre + half


@rc_context(STYLE)
def learning_curve(rollout: Rollout) -> Figure:
    """Fraction correct on easy trials by session, and the fraction of mice in each protocol stage if stages are known."""
    staged = "stage" in rollout.columns
    figure = _figure(8, 5.6 if staged else 3.4, "Fraction correct on easy trials by training session; no-gos count as errors.")
    axes = figure.subplots(2 if staged else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2] if staged else [1])[:, 0]
    correct, contrast = easy_performance(rollout)
    easy = f"|contrast| {'≥' if contrast == EASY_CONTRAST else '='} {100 * contrast:g} %"
    _draw_performance(axes[0], correct, rollout.ids)
    axes[0].set(ylabel=f"fraction correct\n({easy})", ylim=(0, 1.02), xlim=(0.5, correct.shape[1] + 0.5))
    if staged:
        _draw_stages(axes[1], rollout)
    for ax in axes:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title=None if ax is axes[0] else "protocol stage")
    axes[-1].set_xlabel("session")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def easy_performance(rollout: Rollout) -> tuple[np.ndarray, float]:
    """Fraction rewarded of easy trials, (M, S), NaN without any; and the contrast from which trials count as easy."""
    size = np.abs(rollout.contrast)
    least = min(EASY_CONTRAST, float(size.max()))
    shape = rollout.n_mice, int(rollout.session.max()) + 1
    cell = rollout.mouse * shape[1] + rollout.session
    trials, correct = (
        np.bincount(cell[pick], minlength=shape[0] * shape[1]).reshape(shape)
        for pick in (size >= least, (size >= least) & (rollout.reward == 1))
    )
    return np.divide(correct, trials, out=np.full(shape, np.nan), where=trials > 0), least


def _draw_performance(ax: Axes, correct: np.ndarray, ids: Sequence[str]) -> None:
    session = np.arange(1, correct.shape[1] + 1)
    alone = len(correct) == 1
    marker = "o" if len(session) <= 30 else ""
    some = np.unique(np.linspace(0, len(correct) - 1, MICE_DRAWN).astype(int))
    single = {"color": BLUE, "marker": marker} if alone else {"color": GREY, "lw": 0.6, "alpha": 0.6}
    for m in some:
        label = ids[m] if alone else (f"{len(some)} of {len(correct)} mice" if m == 0 else None)
        ax.plot(session, correct[m], label=label, **single)
    seen = np.isfinite(correct).any(axis=0)
    if not alone and seen.any():
        low, median, high = np.nanpercentile(correct[:, seen], [25, 50, 75], axis=0)
        ax.fill_between(session[seen], low, high, color=BLUE, alpha=0.25, lw=0, label="interquartile range")
        ax.plot(session[seen], median, color=BLUE, marker=marker, ms=4, label="median over mice")
    ax.axhline(0.5, color=BLACK, lw=0.8, ls=":", label="chance")


def _draw_stages(ax: Axes, rollout: Rollout) -> None:
    """Stacked areas: the stage of each mouse at the end of each session; a mouse without that session is not counted."""
    s = rollout.sessions
    stage, stages = rollout.stage[s.stop - 1], np.unique(rollout.stage[s.stop - 1])
    edges = np.arange(int(s.session.max()) + 2) + 0.5
    counts = np.array([np.bincount(s.session[stage == k], minlength=len(edges) - 1) for k in stages])
    fraction = counts / np.maximum(counts.sum(axis=0), 1)
    colours = [STAGE_COLOURS[min(k, len(STAGE_COLOURS) - 1)] for k in stages]
    heights = np.append(fraction, fraction[:, -1:], axis=1)
    ax.stackplot(edges, heights, step="post", colors=colours, labels=[str(k) for k in stages], edgecolor=GREY, lw=0.4)
    ax.set(ylabel="fraction of mice", ylim=(0, 1))


# How weights moved, and by which rule


@rc_context(STYLE)
def weight_trajectories(
    trials: Trials, inferred: Mapping[str, np.ndarray], true: np.ndarray | None = None, mouse: int = 0
) -> Figure:
    """Weights (M, T, K) of one mouse, one panel per feature: true ones and those of each model, by its name."""
    n = int(trials.lengths[mouse])
    figure = _figure(9, 0.8 + 1.7 * len(trials.features), f"Weights of {trials.ids[mouse]}; vertical lines are session starts.")
    axes = figure.subplots(len(trials.features), 1, sharex=True, squeeze=False)[:, 0]
    trial = np.arange(1, n + 1)
    starts = trial[trials.new_session[mouse, :n]]
    for k, (ax, feature) in enumerate(zip(axes, trials.features, strict=True)):
        ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
        for start in starts[1:]:
            ax.axvline(start - 0.5, color=GREY, lw=0.6, alpha=0.5, zorder=0)
        if true is not None:
            ax.plot(trial, true[mouse, :n, k], color=BLACK, label="true")
        for colour, (name, weights) in zip(_colours(inferred), inferred.items(), strict=True):
            ax.plot(trial, weights[mouse, :n, k], color=colour, ls=(0, (4, 1.5)), label=name)
        ax.set(ylabel=f"weight of\n{feature.replace('_', ' ')}\n(logit per unit)", xlim=(1, max(n, 2)))
    axes[-1].set_xlabel("trial")
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _colours(models: Mapping[str, Any]) -> list[str]:
    return [MODEL_COLOURS[i % len(MODEL_COLOURS)] for i in range(len(models))]


@rc_context(STYLE)
def update_heatmap(
    updates: Mapping[str, Update],
    features: Sequence[str],
    weight_range: tuple[float, float],
    stimulus_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Update of the stimulus weight over stimulus and stimulus weight at bias weight 0, per rule ('true' first) and choice.

    The reward is 1 if the choice agrees with the sign of the stimulus. Raises ValueError without a stimulus or a bias feature.
    """
    names = sorted(updates, key=lambda name: name != "true")
    stimulus, weight = _centres(stimulus_range), _centres(weight_range)
    grid = np.meshgrid(stimulus, weight)
    maps = {(name, c): _stimulus_update(updates[name], features, grid[0], grid[1], c) for name in names for c in (1, 0)}
    top = max(float(np.abs(m).max()) for m in maps.values()) or 1.0
    figure = _figure(9.5, 1.7 + 2.0 * len(names), "Change of the stimulus weight in one trial, by stimulus, weight and choice.")
    axes = figure.subplots(len(names), 3, sharex=True, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for ax, choice, side in zip(row, (1, 0), ("right", "left"), strict=False):
            image = ax.imshow(
                maps[name, choice], cmap="RdBu_r", vmin=-top, vmax=top, origin="lower", aspect="auto",
                extent=(*stimulus_range, *weight_range),
            )  # fmt: skip
            ax.set_title(f"{name}: {side} choices")
        row[0].set_ylabel("stimulus weight\n(logit per unit)")
        row[1].tick_params(labelleft=False)
        _draw_slices(row[2], updates, name, features, stimulus, float(np.mean(weight_range)))
    _finish_heatmap(figure, axes, image)
    return figure


def _centres(ends: tuple[float, float]) -> np.ndarray:
    edges = np.linspace(*ends, CELLS + 1)
    return (edges[1:] + edges[:-1]) / 2


def _stimulus_update(update: Update, features: Sequence[str], s: np.ndarray, weight: Any, choice: Any) -> np.ndarray:
    """Update of the stimulus weight, in the shape of s, at bias weight 0 and other features 0."""
    from twin.evaluation.recovery import stimulus_column  # torch is imported only when inference is used

    column = stimulus_column(features)
    x, w = np.zeros((2, s.size, len(features)))
    x[:, column], x[:, list(features).index("bias")] = s.ravel(), 1.0
    w[:, column] = np.broadcast_to(weight, s.shape).ravel()
    made = np.zeros(s.size, int) + np.ravel(choice)
    return np.asarray(update(w, x, made, (made == (x[:, column] >= 0)).astype(int)))[:, column].reshape(s.shape)


def _draw_slices(
    ax: Axes, updates: Mapping[str, Update], name: str, features: Sequence[str], stimulus: np.ndarray, weight: float
) -> None:
    """Update against stimulus after correct and after incorrect choices: true solid, inferred dashed."""
    side = (stimulus >= 0).astype(int)
    for rule, line in (("true", "-"), (name, "--")):
        if rule not in updates or (rule == name == "true" and line == "--"):
            continue
        for choice, colour in ((side, BLUE), (1 - side, VERMILLION)):
            u = _stimulus_update(updates[rule], features, stimulus, weight, choice)
            for half in (side == 0, side == 1):
                ax.plot(stimulus[half], u[half], ls=line, color=colour)
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
    ax.set_title(f"{name}: at weight {weight:.3g}")


def _finish_heatmap(figure: Figure, axes: np.ndarray, image: AxesImage) -> None:
    unit = "change of stimulus weight\n(logit per unit, per trial)"
    for ax in axes[-1]:
        ax.set_xlabel("stimulus (feature, positive = right)")
    widest = max(abs(end) for ax in axes[:, 2] for end in ax.get_ylim())
    for ax in axes[:, 2]:
        ax.set(ylim=(-widest, widest), ylabel=unit)
    figure.colorbar(image, ax=axes[:, :2], location="bottom", shrink=0.7, aspect=40, label=unit.replace("\n", " "))
    lines = (
        ("after correct", BLUE, "-"),
        ("after incorrect", VERMILLION, "-"),
        ("true", BLACK, "-"),
        ("inferred", BLACK, "--"),
    )
    handles = [Line2D([], [], color=colour, ls=line, label=label) for label, colour, line in lines]
    figure.legend(handles=handles, loc="outside upper right", ncols=4)


# How well it was inferred


@rc_context(STYLE)
def parameter_recovery(parameters: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Estimates with 95 % intervals against true values, one panel per parameter, intervals that miss the truth in red.

    `parameters`: name -> {true, estimate: (M,), ci95: (M, 2), covered}, as `recovery` returns them. Raises ValueError if empty.
    """
    if not parameters:
        raise ValueError(
            "no parameters to plot: a neural rule has none; give the `parameters` of a closed-form rule's recovery"
        )
    columns = min(len(parameters), 3)
    rows = math.ceil(len(parameters) / columns)
    words = "Estimated against true parameters; bars are 95 % intervals, triangles estimates beyond the axis."
    figure = _figure(max(3.2 * columns, 4.5), 3.2 * rows, words)
    for i, (name, p) in enumerate(parameters.items()):
        true, estimate, ci95 = (np.asarray(p[key], float) for key in ("true", "estimate", "ci95"))
        ax = figure.add_subplot(rows, columns, i + 1)
        _draw_recovery(ax, true, estimate, ci95)
        ax.set_ylabel(f"estimate ({UNITS.get(name.split('.')[0], 'natural units')})")
        ax.set_title(f"{name}\ntruth in {p['covered']:.0%} of intervals")
    return figure


def _draw_recovery(ax: Axes, true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> None:
    floor, ceiling = _limits(true, estimate, ci95)
    if np.ptp(true) > 0:
        at, margin = true, 0.08 * np.ptp(true)
        ax.axline((true[0], true[0]), slope=1, color=BLACK, lw=0.8, ls="--")
        ax.set(xlabel="true", xlim=(true.min() - margin, true.max() + margin))
    else:
        at = np.empty(len(true))
        at[np.argsort(estimate)] = np.arange(1, len(true) + 1)
        ax.axhline(true[0], color=BLACK, lw=0.8, ls="--", label="true")
        ax.set(xlabel="mouse (in order of estimate)", xlim=(0.4, len(true) + 0.6))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    missed = (true < ci95[:, 0]) | (true > ci95[:, 1])
    shown = np.clip(estimate, floor, ceiling)
    for pick, colour in ((~missed, BLUE), (missed, VERMILLION)):
        ax.vlines(at[pick], *np.clip(ci95[pick].T, floor, ceiling), color=colour, lw=1, alpha=0.6)
        for where, marker in ((shown == estimate, "o"), (shown < estimate, "^"), (shown > estimate, "v")):
            ax.plot(at[pick & where], shown[pick & where], marker, color=colour, ms=4, clip_on=False)
    ax.set_ylim(floor, ceiling)


def _limits(true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> tuple[float, float]:
    """An axis for true values, estimates and typical intervals, whatever a few strays and unbounded intervals are."""
    error = np.abs(estimate - true)
    core = np.concatenate([true, estimate[error <= 5 * np.nanmedian(error)]])
    half = np.abs(ci95 - estimate[:, None])
    half = float(np.median(half[np.isfinite(half)])) if np.isfinite(half).any() else 0.0
    span = float(np.ptp(core))
    pad = max(min(1.5 * half, span) if span else 1.5 * half, 0.1 * span) or max(0.1 * abs(core[0]), 1e-3)
    return float(core.min()) - pad, float(core.max()) + pad


@rc_context(STYLE)
def model_comparison(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Log-likelihood per trial of each model on the trials it was trained on, held-out ones and future ones, where given.

    Raises ValueError if there is no score at all.
    """
    figure = _figure(7.5, 1.5 + 0.45 * len(results), "Log-likelihood per trial of each model; further right is better.")
    ax = figure.subplots()
    for key, label, marker, filled, offset in SCORES:
        found = [(i, r[key], r.get("heldout_se")) for i, r in enumerate(results.values()) if r.get(key) is not None]
        if not found:
            continue
        y, score, se = (np.array(part, float) for part in zip(*found, strict=True))
        colour = BLUE if key != "heldout_ll_per_trial" else GREEN
        if key == "heldout_ll_per_trial":
            ax.hlines(y + offset, score - Z95 * se, score + Z95 * se, color=colour, lw=1)
        ax.plot(score, y + offset, marker, ms=7, color=colour, mfc=colour if filled else "white", label=label)
    if not ax.lines:
        raise ValueError(f"no scores to plot for {list(results)}: expected one of {', '.join(key for key, *_ in SCORES)}")
    ax.axvline(math.log(0.5), color=BLACK, lw=0.8, ls=":", label="chance, log ½")
    ax.grid(axis="y", color=GREY, lw=0.4, alpha=0.5)
    ax.set_yticks(range(len(results)), list(results))
    ax.set(xlabel="log-likelihood per trial (nats)", ylim=(len(results) - 0.5, -0.5))
    ax.set_ylabel("model")
    figure.legend(loc="outside upper center", ncols=4)
    return figure
