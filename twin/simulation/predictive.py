"""Do mice of a fitted rule learn like the mice that it was fitted to? A posterior predictive check.

A likelihood is that of each choice given the recorded ones before it, which keep the weights on their path. Mice that go their
own way with the fitted rule show what it does alone: one that is unstable, or that only followed recorded choices, leaves the
path. Each fitted mouse is simulated COPIES times, with its own parameters, noise and lapses, and shown the stimuli that it was
shown; where it made no choice its copies make none. Of these cohorts and of the data are computed, over all mice,

learning curve   fraction correct in each tenth of a mouse's choices
psychometric     fraction of right choices by contrast, in the last third
win-stay         same choice after a reward; lose-shift: another one after an error

Stimuli that the rig repeated after errors of the mouse come where its copies may have made none.

Reference. Gelman, Meng & Stern 1996, Statistica Sinica 6:733.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from agents.theta import Layout
from envs.draws import mouse_keys
from envs.task.state import MOUSE_DTYPE
from twin.data.rollout import Rollout
from twin.evaluation.statistics.choices import repetitions
from twin.inference.fit import Fit
from twin.simulation.drivers import Stepper
from twin.simulation.state import CohortState, naive_mice

COPIES = 20
TENTHS = 10
LATE = 2 / 3  # of a mouse's choices are before its late ones
LEVELS = 17  # contrasts at most
FAR, APART = 4.0, 0.05  # a statistic is unlike the data's beyond so many standard deviations, and so much in fraction


class _Shown(NamedTuple):
    """Trials as `shown_step` reads and writes them."""

    contrast: np.ndarray
    side: np.ndarray
    choice: np.ndarray
    reward: np.ndarray
    new_session: np.ndarray


def simulate_shown(fit: Fit, rollout: Rollout, copies: int = 1, seed: int = 0) -> list[Rollout]:
    """The fit's mice under the stimuli of a record: so many cohorts like the record, with choices and rewards of their own.

    Trials without a choice, or whose rewarded side is not known, have none. Raises ValueError for a mouse that is
    not in the fit.
    """
    known = fit.known_rule()
    layout = Layout(known.with_columns(fit.model), fit.features)
    theta = np.tile(layout.defaults(), (len(fit.ids), 1))
    for name, values in known.theta.items():
        theta[:, layout.index(name)[0]] = values
    theta = np.tile(theta[fit.rows(rollout.ids)], (copies, 1))
    rig = np.zeros(len(theta), MOUSE_DTYPE)
    rig["key"] = mouse_keys(seed, len(theta))
    state = CohortState(rollout.ids * copies, layout.names, theta, rig, **naive_mice(known.rule, layout, theta))
    shown = _Shown(*(np.tile(a, copies) for a in (rollout.contrast, *_outcomes(rollout), rollout.new_session)))
    first = (np.arange(copies)[:, None] * len(rollout) + rollout.starts[:-1]).ravel()
    stepper, lengths = Stepper(known.rule, layout, state), np.tile(np.diff(rollout.starts), copies)
    with np.errstate(over="ignore", invalid="ignore"):  # of rules that run away
        for t in range(int(lengths.max(initial=0))):
            stepper.shown_trial(shown, np.where(t < lengths, first + t, -1))
    choice, reward = (a.reshape(copies, -1) for a in (shown.choice, shown.reward))
    record = {name: column for name, column in rollout.columns.items() if name not in ("p_right", "water_ul", "response_time")}
    return [
        replace(rollout, columns=record | {"choice": c, "reward": r}, weights=None) for c, r in zip(choice, reward, strict=True)
    ]


def _outcomes(rollout: Rollout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rewarded side, choice and reward (N,) each; choice -1 where the trial is not known well enough to be done again."""
    told = np.where(rollout.reward >= 0, (2 * rollout.choice - 1) * (2 * rollout.reward - 1), 0)
    side = np.where((rollout.side == 0) & (rollout.choice >= 0), told, rollout.side).astype(np.int8)
    choice = np.where((side == 0) | (rollout.reward < 0), np.int8(-1), rollout.choice)
    return side, choice, np.where(choice < 0, np.int8(0), rollout.reward)


def predictive_check(fit: Fit, rollout: Rollout, seed: int = 0) -> dict[str, Any]:
    """Statistics of the data beside those of COPIES cohorts of the fit's mice, by name, for results.json.

    Each has `at` (where), `data`, `mean`, `low` and `high` (of the cohorts, 95 %), and `far`, the largest difference between
    data and mean that is beyond FAR standard deviations and APART; 0 if none is.
    """
    side, choice, reward = _outcomes(rollout)
    data = replace(rollout, columns={**rollout.columns, "side": side, "choice": choice, "reward": reward})
    places = _Places.of(data)
    cohorts = [places.statistics(each) for each in simulate_shown(fit, rollout, COPIES, seed)]
    return {
        name: _compared(places.at[name], found, np.array([cohort[name] for cohort in cohorts]))
        for name, found in places.statistics(data).items()
    }


def largest_difference(check: Mapping[str, Mapping[str, Any]]) -> float:
    """The largest difference of all statistics that is one; 0 if mice of the fit are like the data's."""
    return max((float(found["far"]) for found in check.values()), default=0.0)


class _Places(NamedTuple):
    """Which choices (N,) count where; -1 where they do not."""

    tenth: np.ndarray
    level: np.ndarray
    at: dict[str, list[Any]]

    @classmethod
    def of(cls, rollout: Rollout) -> _Places:
        made = rollout.choice >= 0
        place = np.full(len(rollout), -1.0)
        for m in range(rollout.n_mice):
            mine = rollout.starts[m] + np.flatnonzero(made[rollout.of_mouse(m)])
            place[mine] = np.arange(len(mine)) / max(len(mine), 1)
        levels = np.unique(rollout.contrast[made])
        levels = levels if len(levels) <= LEVELS else np.linspace(-1, 1, LEVELS)
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, rollout.contrast)
        tenths = ((np.arange(TENTHS) + 0.5) / TENTHS).tolist()
        at = {"learning curve": tenths, "psychometric": (100.0 * levels).tolist(), "repetition": ["win-stay", "lose-shift"]}
        return cls(
            np.where(made, (TENTHS * place).astype(int), -1),
            np.where(place >= LATE, nearest, -1),
            at,
        )

    def statistics(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """Of one cohort, over all its mice; NaN where there are no choices."""
        rewards, stays, errors, shifts = repetitions(rollout, repeats=True).sum(axis=0)
        return {
            "learning curve": _fractions(self.tenth, rollout.reward == 1, TENTHS),
            "psychometric": _fractions(self.level, rollout.choice == 1, len(self.at["psychometric"])),
            "repetition": np.array([stays / rewards if rewards else np.nan, shifts / errors if errors else np.nan]),
        }


def _fractions(cell: np.ndarray, hit: np.ndarray, cells: int) -> np.ndarray:
    inside = cell >= 0
    n, hits = (np.bincount(cell[inside], a[inside], minlength=cells) for a in (np.ones(len(cell)), hit))
    return np.where(n > 0, hits / np.maximum(n, 1), np.nan)


def _compared(at: list[Any], data: np.ndarray, cohorts: np.ndarray) -> dict[str, Any]:
    """One statistic: data (G,) beside those of the cohorts (C, G)."""
    mean, sd = cohorts.mean(axis=0), cohorts.std(axis=0, ddof=1)
    low, high = np.percentile(cohorts, [2.5, 97.5], axis=0)
    off = np.abs(data - mean)
    far = off[(off > APART) & (off > FAR * sd)]
    lists = {"data": data, "mean": mean, "low": low, "high": high}
    return {"at": at, **{key: each.tolist() for key, each in lists.items()}, "far": float(far.max(initial=0.0))}
