"""Does a rule depend on what came before? The update by the very same trials after rewarded and after unrewarded histories.

An agent goes through the record of every mouse with the true weights in place of its own before each trial, so that all agents
see the same and one without a memory can show nothing. After some histories of either kind (`histories`) probes take the
place of the recorded trial: rewarded choices of the side of the stimulus, the same after every history. By such a choice the
stimulus weight rises, whichever the side, so the mean over probes does not cancel.

The gap is the mean change of the stimulus weight after rewarded histories less that after unrewarded ones, each mouse compared
with itself (or fast learners, often rewarded, would be compared with slow ones). It is 0 for a rule that remembers nothing, and
proportional to the effect for one that does. What differs between histories is all that is remembered, rewards or else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twin.data.trials import Trials
from twin.evaluation.histories import Histories, Probes, Record, p_right

Agents = Callable[[np.ndarray], Any]  # indices of mice -> an agent of those mice, with `init` and `learn`


def history_gap(true: Agents, fitted: Agents, trials: Trials, weights: np.ndarray, column: int) -> dict[str, Any]:
    """Gap of the true and of a fitted rule, the share recovered, and updates by stimulus after either kind of history.

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
    trials, updates = record.trials, np.zeros((len(histories.mouse), len(probes.w)))
    choice, reward = (a[..., None].astype(float) for a in (trials.choice, trials.reward))
    p, mice = p_right(record.weights, trials.x), agents(np.arange(len(choice)))
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
    before = _of_mice(state, copies)._replace(weights=probes.w)
    after = agents(copies).learn(before, probes.x, probes.choice, np.ones_like(probes.choice), probes.p_right)
    return np.asarray(after.weights, float) - probes.w


def _of_mice(state: Any, mice: np.ndarray) -> Any:
    """The state of some mice; in each of its arrays they are the last axis but one."""
    if not isinstance(state, tuple):
        return state[..., mice, :]
    parts = [_of_mice(part, mice) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _gaps(updates: np.ndarray, histories: Histories) -> np.ndarray:
    """Mean update after rewarded histories less that after unrewarded ones, (mice, N); exactly 0 if all are equal."""
    gaps = []
    for m in np.unique(histories.mouse):
        mine, rewarded = updates[histories.mouse == m], histories.rewarded[histories.mouse == m]
        mine = mine - mine[0]
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
