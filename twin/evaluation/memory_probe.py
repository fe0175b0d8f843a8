"""Memory probe: does a rule's update depend on what came before? The very same trials, after different histories.

The mice of a rule go through the record of every mouse, with the true weights in place of their own before each trial, so all
rules see the same and one without a memory can show nothing. After some histories, probes take the place of the recorded
trial: rewarded choices of the side of the stimulus, the same after every history. By such a choice the stimulus weight rises,
whichever the side, so the mean over probes does not cancel.

A history is a mouse's record up to a trial. It is called rewarded if at least MANY of its last LAST choices were rewarded, and
unrewarded if at most FEW were. Where mice learn, rewarded histories are those of large weights, so only those are compared
whose weights are near where the two kinds meet, and the probes have such weights: elsewhere no mouse tells what would happen.

The gap is the mean change of the stimulus weight after rewarded histories minus that after unrewarded ones, each mouse compared
with itself (or fast learners, often rewarded, would be compared with slow ones). It is 0 for a rule that remembers nothing, and
proportional to the effect for one that does. What differs between histories is all that is remembered, rewards or else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from twin.data.trials import Trials

LAST, FEW, MANY = 10, 3, 7
NEAR = 0.1  # fraction of the histories of either kind that are compared, those of weights nearest to where the kinds meet
PER_MOUSE = 5  # histories of either kind, at most
LEVELS = 17  # stimuli among the probes, at most
PLACES = 2  # recorded trials after either kind of history whose weights the probes have
Agents = Callable[[np.ndarray], Any]  # rows of mice in the trials -> those mice, with `init` and `learn`


class Record(NamedTuple):
    """What M mice went through (T, K weights)."""

    trials: Trials
    weights: np.ndarray  # (M, T, K) the true ones, finite
    column: int  # of the stimulus


class Histories(NamedTuple):
    """Which histories are compared (H), sorted by mouse, each mouse with both kinds; and where the two kinds meet."""

    mouse: np.ndarray
    trial: np.ndarray
    rewarded: np.ndarray
    meeting: float  # stimulus weight: the fraction of rewarded histories below it is that of unrewarded ones above

    @classmethod
    def of(cls, record: Record) -> Histories:
        """Histories near the meeting, spread evenly over each mouse's."""
        recent = recent_rewards(record.trials)
        w = record.weights[..., record.column]
        kinds = _shared([recent >= MANY, (recent >= 0) & (recent <= FEW)])
        if not kinds[0].any():
            return cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool), float("nan"))
        meeting = _meeting(*(w[kind] for kind in kinds))
        away = np.abs(w - meeting)
        rewarded, unrewarded = _shared([kind & (away <= np.quantile(away[kind], NEAR)) for kind in kinds])
        found = [
            (m, t, kind is rewarded)
            for m in range(len(w))
            for kind in (rewarded, unrewarded)
            for t in _spread(np.flatnonzero(kind[m]), PER_MOUSE)
        ]
        mouse, trial, which = np.array(found, int).reshape(-1, 3).T
        return cls(mouse, trial, which == 1, meeting)


class Probes(NamedTuple):
    """Rewarded choices of the stimulus's side (N), put after every history; those of one stimulus follow each other."""

    w: np.ndarray  # (N, K)
    x: np.ndarray  # (N, K)
    choice: np.ndarray  # (N, 1)
    p_right: np.ndarray  # (N, 1)

    @classmethod
    def of(cls, record: Record, histories: Histories) -> Probes:
        """Stimuli that were shown, times weights (and other features) of recorded trials nearest to the meeting."""
        trials, column = record.trials, record.column
        levels = _spread(np.unique(trials.x[trials.mask][:, column]), LEVELS)
        away = np.abs(record.weights[histories.mouse, histories.trial, column] - histories.meeting)
        kinds = (histories.rewarded, ~histories.rewarded)
        nearest = np.concatenate([np.flatnonzero(k)[np.argsort(away[k], kind="stable")[:PLACES]] for k in kinds])
        at = histories.mouse[nearest], histories.trial[nearest]
        w, x = (np.tile(a[at], (len(levels), 1)) for a in (record.weights, trials.x))
        x[:, column] = np.repeat(levels, len(nearest))
        return cls(w, x, (x[:, [column]] >= 0).astype(float), p_right(w, x))


def history_gap(true: Agents, fitted: Agents, trials: Trials, weights: np.ndarray, column: int) -> dict[str, Any]:
    """Compare the gap of the fitted rule with that of the true one, and their updates by stimulus after either kind of history.

    `weights` (M, T, K) are the true ones, NaN beyond a mouse's last trial; `column` is that of the stimulus. `recovered` is the
    ratio of the mean gaps, `slope` that of a regression of the gaps inferred, by mouse and probe, on the true ones. Empty if no
    mouse has histories of both kinds.
    """
    record = Record(trials, np.nan_to_num(weights), column)
    histories = Histories.of(record)
    if not len(histories.mouse):
        return {}
    probes = Probes.of(record, histories)
    after = {name: updates_after(a, record, histories, probes) for name, a in (("true", true), ("estimate", fitted))}
    gaps = {name: _gaps(updates, histories) for name, updates in after.items()}
    return {
        **{name: float(gap.mean()) for name, gap in gaps.items()},
        "recovered": _ratio(gaps["estimate"].mean(), gaps["true"].mean()),
        "slope": _ratio(np.sum(gaps["true"] * gaps["estimate"]), np.sum(gaps["true"] ** 2)),
        "mice": len(gaps["true"]),
        "histories": {"rewarded": int(histories.rewarded.sum()), "unrewarded": int((~histories.rewarded).sum())},
        "stimulus_weight": histories.meeting,
        "stimulus": np.unique(probes.x[:, column]).tolist(),
        "updates": {name: _by_stimulus(updates, histories, probes.x[:, column]) for name, updates in after.items()},
    }


def updates_after(agents: Agents, record: Record, histories: Histories, probes: Probes) -> np.ndarray:
    """Update of the stimulus weight by each probe after each history, (H, N)."""
    trials = record.trials
    updates = np.zeros((len(histories.mouse), len(probes.w)))
    choice, reward = (a[..., None].astype(float) for a in (trials.choice, trials.reward))
    p = p_right(record.weights, trials.x)
    mice = agents(np.arange(len(choice)))
    state = mice.init(len(choice))
    for t in range(histories.trial.max() + 1):
        for h in np.flatnonzero(histories.trial == t):
            updates[h] = _probed(agents, state, histories.mouse[h], probes)[:, record.column]
        state = state._replace(weights=record.weights[:, t])
        state = mice.learn(state, trials.x[:, t], choice[:, t], reward[:, t], p[:, t])
    return updates


def _probed(agents: Agents, state: Any, mouse: int, probes: Probes) -> np.ndarray:
    """Update of the weights (N, K) by each probe, for copies of one mouse in a state."""
    copies = np.full(len(probes.w), mouse)
    before = of_mice(state, copies)._replace(weights=probes.w)
    after = agents(copies).learn(before, probes.x, probes.choice, np.ones_like(probes.choice), probes.p_right)
    return np.asarray(after.weights, float) - probes.w


def of_mice(state: Any, mice: np.ndarray) -> Any:
    """The state of some mice; in each of its arrays they are the last axis but one."""
    if not isinstance(state, tuple):
        return state[..., mice, :]
    parts: list[Any] = [None if part is None else of_mice(part, mice) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _gaps(updates: np.ndarray, histories: Histories) -> np.ndarray:
    """Mean update after rewarded histories minus that after unrewarded ones, (mice, N); exactly 0 if all are equal."""
    gaps = []
    for m in np.unique(histories.mouse):
        mine = updates[histories.mouse == m] - updates[histories.mouse == m][0]
        rewarded = histories.rewarded[histories.mouse == m]
        gaps.append(mine[rewarded].mean(axis=0) - mine[~rewarded].mean(axis=0))
    return np.array(gaps)


def _by_stimulus(updates: np.ndarray, histories: Histories, stimulus: np.ndarray) -> dict[str, list[float]]:
    """Mean update over mice, after either kind of history, at each stimulus."""
    of_mouse = [histories.mouse == m for m in np.unique(histories.mouse)]
    found = {}
    for kind, pick in (("rewarded", histories.rewarded), ("unrewarded", ~histories.rewarded)):
        mean = np.mean([updates[pick & mine].mean(axis=0) for mine in of_mouse], axis=0)
        found[kind] = [float(mean[stimulus == s].mean()) for s in np.unique(stimulus)]
    return found


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b else float("nan")


def p_right(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probability of a right choice before lapses, (..., 1)."""
    return 1.0 / (1.0 + np.exp(-np.sum(w * x, axis=-1, keepdims=True)))


def recent_rewards(trials: Trials) -> np.ndarray:
    """Rewards of the last LAST choices before each choice, (M, T); -1 where there were fewer choices, or is none."""
    recent = np.full(trials.choice.shape, -1)
    for m, counted in enumerate(trials.mask):
        total = np.concatenate([[0], np.cumsum(trials.reward[m, counted], dtype=int)])
        recent[m, np.flatnonzero(counted)[LAST:]] = total[LAST:-1] - total[: -LAST - 1]
    return recent


def _shared(kinds: list[np.ndarray]) -> list[np.ndarray]:
    """The same (M, T) without mice that have only one of the kinds."""
    both = np.all([kind.any(axis=1) for kind in kinds], axis=0)
    return [kind & both[:, None] for kind in kinds]


def _meeting(rewarded: np.ndarray, unrewarded: np.ndarray) -> float:
    either = np.concatenate([rewarded, unrewarded])
    below, below_too = (np.searchsorted(np.sort(w), either) / len(w) for w in (rewarded, unrewarded))
    return float(either[np.argmin(np.abs(below + below_too - 1.0))])


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, min(most, len(values))).astype(int)]
