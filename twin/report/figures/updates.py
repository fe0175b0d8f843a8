"""What a rule does to the stimulus weight in one trial, as maps over stimulus and weight and slices through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from twin.evaluation.visited import Visits, weight_range
from twin.report.figures import figure
from twin.report.shown import Shown, Update
from twin.report.style import BLACK, BLUE, GREY, VERMILLION, new_figure

STRAY = 5.0  # times the usual largest update: a rule whose own is larger does not set the scale of the others
UNVISITED = "#bfbfbf"
CELLS = 60  # along either side of a map; even, so that no cell is centred on a zero stimulus


@figure(section="The learning rule")
def update(shown: Shown) -> Figure | None:
    """Update maps of the first mouse over the weights it has had, where a stimulus and a bias are among the features."""
    from twin.evaluation.recovery import STIMULI  # torch is imported only when inference is used

    trials = shown.trials
    known = list(shown.weights.values()) if shown.true_weights is None else [shown.true_weights]
    if trials is None or not shown.updates or not known or "bias" not in trials.features:
        return None
    stimulus = next((feature for feature in STIMULI if feature in trials.features), None)
    if stimulus is None:
        return None
    column = trials.features.index(stimulus)
    every = dict(shown.weights) if shown.true_weights is None else {**shown.weights, "true": shown.true_weights}
    visits = {name: Visits.of(trials, weights, column) for name, weights in every.items()}
    mouse = trials.ids[0] if len(trials.ids) == 1 else f"{trials.ids[0]}, the first of {len(trials.ids)},"
    return draw_updates(shown.updates, trials.features, weight_range(w[..., column] for w in known), mouse=mouse, visits=visits)


def draw_updates(
    updates: Mapping[str, Update],
    features: Sequence[str],
    weight_range: tuple[float, float],
    stimulus_range: tuple[float, float] = (-1.0, 1.0),
    mouse: str = "",
    visits: Mapping[str, Visits] | None = None,
) -> Figure:
    """Update of the stimulus weight over stimulus and stimulus weight at bias weight 0, per rule ('true' first) and choice.

    What no trial visited is grey, by the `visits` of each rule's own weights. The reward is 1 if the choice agrees with the
    sign of the stimulus. The scale is the same in all panels (`scale_of`). Models that move no weight have no panels, only a
    place in the caption. Raises ValueError without a stimulus or a bias feature.
    """
    grid, still = _moving(update_grid(updates, features, weight_range, stimulus_range))
    whose = f" of mouse {mouse}" if mouse else ""
    words = f"Change of the stimulus weight{whose} in one trial, by stimulus, stimulus weight and choice; bias weight 0."
    words += f" No trial changes it under {', '.join(still)}." if still else ""
    visits = {name: each for name, each in (visits or {}).items() if name in grid.maps}
    words += " Grey: where no mouse has been." if visits else ""
    top, beyond = scale_of(grid.maps)
    words += f" Darkest colours: {top:.2g} and more, on either side." if beyond else ""
    canvas = new_figure(9.5, 1.6 + 2.0 * len(grid.maps), words)
    axes = canvas.subplots(len(grid.maps), 3, sharex=True, squeeze=False)
    scale: Any = {"cmap": "RdBu_r", "vmin": -top, "vmax": top, "origin": "lower", "aspect": "auto"}
    for row, (name, pair) in zip(axes, grid.maps.items(), strict=True):
        for ax, change, side in zip(row, pair, ("right", "left"), strict=False):
            if name in visits:
                change = np.ma.array(change, mask=~visits[name].at(*grid.places, choice=int(side == "right")))
            image = ax.imshow(change, extent=(*stimulus_range, *weight_range), **scale)
            ax.set(title=f"{name}: {side} choices", facecolor=UNVISITED)
        row[0].set_ylabel("stimulus weight\n(logit per unit)")
        row[1].tick_params(labelleft=False)
        _draw_slices(row[2], grid, name)
    _label_maps(axes, top)
    label = "change of stimulus weight (logit per unit, per trial)"
    bar = canvas.colorbar(image, ax=axes[:, :2], location="bottom", shrink=0.7, aspect=40, pad=0.03, label=label)
    bar.locator = MaxNLocator(5)
    canvas.legend(handles=_handles("true" in updates), loc="outside upper right", ncols=4)
    return canvas


def _draw_slices(ax: Axes, grid: UpdateGrid, name: str) -> None:
    """True updates solid, those of the model dashed; broken at 0, where the choice changes."""
    side = int(np.sum(grid.stimulus < 0))
    for rule in [rule for rule in grid.slices if rule in ("true", name)]:
        for change, colour in zip(grid.slices[rule], (BLUE, VERMILLION), strict=True):
            line = "-" if rule == "true" else "--"
            ax.plot(np.insert(grid.stimulus, side, np.nan), np.insert(change, side, np.nan), ls=line, color=colour)
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=0)
    ax.set_title(f"{name}: at weight {grid.weight:.3g}")


def _label_maps(axes: np.ndarray, top: float) -> None:
    limits = np.clip([ax.get_ylim() for ax in axes[:, 2]], -1.1 * top, 1.1 * top)
    for ax in axes[:, 2]:
        ax.set(ylim=(limits.min(), limits.max()), ylabel="change per trial\n(logit per unit)")
    for ax in axes[-1]:
        ax.set_xlabel("stimulus feature (right > 0)")
    for ax in axes.flat:
        ax.locator_params(nbins=4)


def _handles(with_truth: bool) -> list[Line2D]:
    lines = [("after correct", BLUE, "-"), ("after incorrect", VERMILLION, "-"), ("inferred", BLACK, "--")]
    lines += [("true", BLACK, "-")] if with_truth else []
    return [Line2D([], [], color=colour, ls=line, label=label) for label, colour, line in lines]


class UpdateGrid(NamedTuple):
    """Updates of the stimulus weight by rule, 'true' first."""

    stimulus: np.ndarray  # (CELLS,)
    places: tuple[np.ndarray, np.ndarray]  # (CELLS, CELLS) each: stimuli and weights of the maps
    weight: float  # where the slices are
    maps: dict[str, np.ndarray]  # (2, CELLS, CELLS): after right, after left choices; rows are stimulus weights
    slices: dict[str, np.ndarray]  # (2, CELLS): after correct, after incorrect choices


def _moving(grid: UpdateGrid) -> tuple[UpdateGrid, list[str]]:
    """The grid without the rules that change nothing anywhere, and their names; all of it if none changes anything."""
    still = [name for name, maps in grid.maps.items() if not np.any(maps)]
    if len(still) == len(grid.maps):
        return grid, []
    kept = [name for name in grid.maps if name not in still]
    maps, slices = ({name: of[name] for name in kept} for of in (grid.maps, grid.slices))
    return grid._replace(maps=maps, slices=slices), still


def scale_of(maps: Mapping[str, np.ndarray]) -> tuple[float, bool]:
    """The largest update that is shown in full, and whether there are larger ones.

    It is the largest of any rule, strays left out: those whose own is more than STRAY times that of the true rule or, where the
    truth is not known, of the usual model (the lower median).
    """
    tops = {name: float(np.abs(changes).max()) for name, changes in maps.items()}
    usual = tops.get("true", 0.0) or sorted(tops.values())[(len(tops) - 1) // 2]
    top = max(size for size in tops.values() if size <= STRAY * usual) or 1.0
    return top, max(tops.values()) > top


def update_grid(
    updates: Mapping[str, Update],
    features: Sequence[str],
    weight_range: tuple[float, float],
    stimulus_range: tuple[float, float],
) -> UpdateGrid:
    """Updates at the centres of a grid, bias weight 0, other features 0; rewarded if the choice has the sign of the stimulus.

    Raises ValueError if there is no stimulus or no bias among the features.
    """
    stimulus, weight = (np.linspace(*ends, 2 * CELLS + 1)[1::2] for ends in (stimulus_range, weight_range))
    s, w = np.meshgrid(stimulus, weight)
    middle = np.full(CELLS, np.mean(weight_range))
    correct = (stimulus >= 0).astype(int)
    maps = {}
    slices = {}
    for name in sorted(updates, key=lambda name: name != "true"):
        rule = updates[name]
        maps[name] = np.array([_stimulus_update(rule, features, s, w, np.full(s.shape, c)) for c in (1, 0)])
        slices[name] = np.array([_stimulus_update(rule, features, stimulus, middle, c) for c in (correct, 1 - correct)])
    return UpdateGrid(stimulus, (s, w), float(middle[0]), maps, slices)


def _stimulus_update(
    rule: Update, features: Sequence[str], s: np.ndarray, weight: np.ndarray, choice: np.ndarray
) -> np.ndarray:
    """Changes of the stimulus weight, in the shape of stimulus, weight and choice, which are alike."""
    from twin.evaluation.recovery import stimulus_column

    column = stimulus_column(features)
    x, w = np.zeros((2, s.size, len(features)))
    x[:, column] = s.ravel()
    x[:, list(features).index("bias")] = 1.0
    w[:, column] = weight.ravel()
    reward = (choice == (s >= 0)).astype(int)
    return np.asarray(rule(w, x, choice.ravel(), reward.ravel()))[:, column].reshape(s.shape)
