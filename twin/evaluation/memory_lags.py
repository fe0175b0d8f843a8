"""How long does a fitted rule remember rewards, and could these trials have told?

The mice of a fit go through their own record up to some trial, the weights of the fit in place of their own before each, so
that only what the rule remembers beside the weights can differ. In one copy RUN trials in a row, so many trials before, are
rewarded, in another they are not; then both do the very same rewarded trial. The difference of their updates of the stimulus
weight is the effect of the run at that lag, 0 for a rule without a memory (Fig. 5B of Liu, Geadah & Pillow 2025, arXiv
2509.04661).

A network finds a memory only if the trials tell of one. Suppose that every update is (1 + e h) times that of the fit, with
h = 1 after MANY of the last LAST choices were rewarded, -1 after at most FEW, 0 otherwise (`memory_probe`). `standard_error` is
that of e by these choices (`one_step`, the size of all updates not known either): an effect of twice that could be missed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twin.data.trials import Trials
from twin.evaluation.memory_probe import FEW, MANY, of_mice, p_right, recent_rewards
from twin.evaluation.one_step import directions, slopes_of_update
from twin.evaluation.statistics.registry import RESAMPLES
from twin.inference.fit import Fit

RUN = 4  # trials in a row, as in the paper
LAGS = tuple(range(0, 32, RUN))  # trials between the run and the update
PER_MOUSE, MICE = 4, 25  # trials of a mouse, and mice, that are compared at most


class _Copies(NamedTuple):
    """What the copies of one mouse do in the trials before its update: L lags, each rewarded and not, (T, 2 L)."""

    reward: np.ndarray

    @classmethod
    def of(cls, reward: np.ndarray) -> _Copies:
        """From the recorded rewards (T,) of these trials, the last one first before the update."""
        every = np.tile(reward.astype(float)[:, None], (1, 2 * len(LAGS)))
        for i, lag in enumerate(LAGS):
            run = slice(len(reward) - lag - RUN, len(reward) - lag)
            every[run, 2 * i], every[run, 2 * i + 1] = 1.0, 0.0
        return cls(every)


def effect_by_lag(fit: Fit, trials: Trials, weights: np.ndarray, column: int) -> dict[str, Any]:
    """Change of the update after a run of rewarded trials against one of unrewarded ones, by lag; {} for too short records.

    weights (M, T, K) by the fit, whose features are those of the trials; `column` is that of the stimulus. `effect`, `low` and
    `high` by lag: mean over mice and its 95 % bootstrap interval over them (NaN of one mouse), relative to the mean update of
    these trials by the mice as they are.
    """
    weights = np.nan_to_num(weights)
    each = [_of_mouse(fit, trials, weights, int(m), column) for m in _chosen(trials)]
    found = np.array([of for of in each if of is not None])  # (mice, L + 1): the effects, and the update itself
    if not len(found):
        return {}
    random = np.random.default_rng(0)
    drawn = np.array([_relative(found[random.integers(len(found), size=len(found))]) for _ in range(RESAMPLES)])
    ends = np.percentile(drawn, [2.5, 97.5], axis=0) if len(found) > 1 else np.full((2, len(LAGS)), np.nan)
    lists = dict(zip(("effect", "low", "high"), (_relative(found), *ends), strict=True))
    return {"lags": list(LAGS), **{name: each.tolist() for name, each in lists.items()}, "mice": len(found)}


def standard_error(fit: Fit, trials: Trials, weights: np.ndarray, log_likelihood: np.ndarray) -> float:
    """Of an effect of past rewards on the size of updates, as a fraction of them; infinite where the trials tell none."""
    weights = np.nan_to_num(weights)
    change = np.zeros_like(weights)
    for m, row in enumerate(fit.rows(trials.ids)):
        at = np.flatnonzero(trials.mask[m])
        change[m, at] = fit.update(row, weights[m, at], *(a[m, at] for a in (trials.x, trials.choice, trials.reward)))
    recent = recent_rewards(trials)
    after = np.where(recent >= MANY, 1.0, np.where((recent >= 0) & (recent <= FEW), -1.0, 0.0))
    more = np.stack([change * after[..., None], change], axis=-1)
    _, each = directions(more, slopes_of_update(fit, trials, weights), trials, log_likelihood)
    total = each.sum(axis=0)
    left = total[0, 0] - total[0, 1] ** 2 / total[1, 1] if total[1, 1] > 0 else 0.0
    return float(1 / np.sqrt(left)) if left > 0 else float("inf")


def _chosen(trials: Trials) -> np.ndarray:
    """Some of the mice, spread over all."""
    mice = len(trials.ids)
    return np.unique(np.linspace(0, mice - 1, min(MICE, mice)).astype(int))


def _of_mouse(fit: Fit, trials: Trials, weights: np.ndarray, m: int, column: int) -> np.ndarray | None:
    """Mean effect at each lag and mean update (L + 1,) over some rewarded trials of a mouse; None if it has none so late."""
    before = LAGS[-1] + RUN
    made = np.flatnonzero(trials.mask[m])
    late = np.flatnonzero(trials.reward[m, made] == 1)
    late = late[(late >= before) & (trials.x[m, made[late], column] != 0)]
    if not len(late):
        return None
    ends = np.unique(late[np.linspace(0, len(late) - 1, min(PER_MOUSE, len(late))).astype(int)])
    row = fit.rows([trials.ids[m]])
    rows = np.repeat(row, 2 * len(LAGS) + 1)  # the last copy goes through the record as it is
    w, x, choice, reward = (a[m, made] for a in (weights, trials.x, trials.choice, trials.reward))
    agent, many = fit.agents(row, w[:1]), fit.agents(rows, np.tile(w[:1], (len(rows), 1)))
    state, found = agent.init(1), []
    starts = {int(end) - before: int(end) for end in ends}
    for t in range(max(starts) + 1):
        if t in starts:
            found.append(
                _update_after(many, of_mice(state, np.zeros(len(rows), int)), (w, x, choice, reward), t, starts[t], column)
            )
        state = _learned(agent, state, w[[t]], x[[t]], choice[t], reward[[t], None])
    updates = np.array(found)  # (trials, 2 L + 1)
    sign = np.sign(updates[:, -1:])
    mean = (sign * updates).mean(axis=0)
    return np.append(mean[0:-1:2] - mean[1:-1:2], mean[-1])


def _update_after(agents: Any, state: Any, record: tuple[np.ndarray, ...], start: int, end: int, column: int) -> np.ndarray:
    """Update of the stimulus weight (2 L + 1,) by trial `end`, of copies that went their ways from trial `start` on."""
    w, x, choice, reward = record
    ways = np.column_stack([_Copies.of(reward[start:end]).reward, reward[start:end]])
    for t, rewards in zip(range(start, end), ways, strict=True):
        state = _learned(agents, state, w[[t]], x[[t]], choice[t], rewards[:, None])
    after = _learned(agents, state, w[[end]], x[[end]], choice[end], np.full((ways.shape[1], 1), float(reward[end])))
    return np.asarray(after.weights, float)[:, column] - w[end, column]


def _learned(agents: Any, state: Any, w: np.ndarray, x: np.ndarray, choice: float, reward: np.ndarray) -> Any:
    """The state after one trial in which all have weights w (1, K) and do the same but for their rewards (N, 1)."""
    n = len(reward)
    same = [np.tile(a, (n, 1)) for a in (w, x, np.full((1, 1), float(choice)), p_right(w, x))]
    return agents.learn(state._replace(weights=same[0]), same[1], same[2], reward.astype(float), same[3])


def _relative(found: np.ndarray) -> np.ndarray:
    """Mean effects (L,) over the mean update."""
    mean = found.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mean[:-1] / mean[-1])
