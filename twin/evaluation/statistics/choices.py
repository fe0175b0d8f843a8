"""Choices, counted session by session: side biases, balanced accuracy, repeated choices, accuracy and times by contrast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.data.rollout import Rollout
from twin.evaluation.session_summary import ALL_TRIALS, EASY_CONTRAST, SessionSummary

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONTRASTS = (100.0, 50.0, 25.0, 12.5, 6.25, 0.0)  # percent, of the IBL's task
LEVELS = (*(-c for c in CONTRASTS), *CONTRASTS[-2::-1])  # signed, ascending


def side_biases(summary: SessionSummary) -> Floats:
    """Preference for a side on easy trials, -1/2 (left) to 1/2 (right), of each session, (S,); NaN without both sides."""
    shares = []
    for easy in (summary.levels <= -100 * EASY_CONTRAST, summary.levels >= 100 * EASY_CONTRAST):
        right = summary.right[:, ALL_TRIALS, easy].sum(axis=1)
        made = right + summary.left[:, ALL_TRIALS, easy].sum(axis=1)
        shares.append(np.where(made > 0, right / np.maximum(made, 1), np.nan))
    bias: Floats = (shares[0] + shares[1]) / 2 - 0.5
    return bias


def balanced_accuracy(rollout: Rollout) -> Floats:
    """Mean over the two sides of the fraction correct of choices at contrasts other than 0, (S,)."""
    made, start = rollout.choice >= 0, rollout.sessions.start
    sides = [(rollout.contrast > 0) & made, (rollout.contrast < 0) & made]
    n, correct = (
        np.array([np.add.reduceat((side & and_also).astype(float), start) for side in sides])
        for and_also in (made, rollout.reward == 1)
    )
    balanced: Floats = np.where((n > 0).all(axis=0), (correct / np.maximum(n, 1)).mean(axis=0), np.nan)
    return balanced


def repetitions(rollout: Rollout, repeats: bool) -> Floats:
    """Of each session, (S, 4): choices after a reward, of them to the same side; after an error, of them to the other side.

    Both trials have a choice and are of one session. Unless `repeats`, trials in which the rig shows a failed stimulus again
    are left out: they are rewarded on the side that the mouse did not choose, which makes a mouse that sees them shift.
    """
    choice, reward = rollout.choice, rollout.reward
    pair = np.zeros(len(rollout), bool)
    pair[1:] = (choice[1:] >= 0) & (choice[:-1] >= 0) & (reward[:-1] >= 0) & ~rollout.new_session[1:]
    if not repeats:
        pair &= ~_shown_again(rollout)
    won, same = np.zeros((2, len(rollout)), bool)
    won[1:], same[1:] = reward[:-1] == 1, choice[1:] == choice[:-1]
    kinds = [pair & won, pair & won & same, pair & ~won, pair & ~won & ~same]
    return np.stack([np.add.reduceat(kind.astype(float), rollout.sessions.start) for kind in kinds], axis=1)


def _shown_again(rollout: Rollout) -> Bools:
    """Is a trial a repeat after an error? (N,) Where that was not recorded: the rig stored another P(left) than a half."""
    if "is_repeat" in rollout.columns:
        repeat: Bools = rollout.is_repeat.astype(bool)
        return repeat
    different: Bools = np.isfinite(rollout.probability_left) & (np.abs(rollout.probability_left - 0.5) > 1e-6)
    return different


def by_contrast(rollout: Rollout, summary: SessionSummary, there: Bools) -> Floats:
    """Fraction of right choices of each mouse at LEVELS in some sessions, (M, L); NaN where it did not choose."""
    right, made = np.zeros((2, rollout.n_mice, len(LEVELS)))
    mouse = rollout.sessions.mouse[there]
    for i, level in enumerate(LEVELS):
        for column in np.flatnonzero(np.isclose(summary.levels, level)):
            chose_right = summary.right[there, ALL_TRIALS, column]
            np.add.at(right[:, i], mouse, chose_right)
            np.add.at(made[:, i], mouse, chose_right + summary.left[there, ALL_TRIALS, column])
    return np.where(made > 0, right / np.maximum(made, 1), np.nan)


def response_medians(rollout: Rollout, there: Bools) -> tuple[Floats, Floats]:
    """Fraction correct of choices, and median response time (s), of each mouse at CONTRASTS in some sessions; (M, C) each."""
    correct, medians = np.full((2, rollout.n_mice, len(CONTRASTS)), np.nan)
    lengths = rollout.sessions.stop - rollout.sessions.start
    trials = np.flatnonzero(np.repeat(there, lengths) & (rollout.choice >= 0))
    contrast, mouse = 100 * np.abs(rollout.contrast[trials]), rollout.mouse[trials]
    times = rollout.columns.get("response_time", np.full(len(rollout), np.nan, np.float32))[trials]
    for i, level in enumerate(CONTRASTS):
        at = np.isclose(contrast, level, atol=1e-3)
        for m in np.unique(mouse[at]):
            mine = trials[at & (mouse == m)]
            correct[m, i] = (rollout.reward[mine] == 1).mean()
            known = times[at & (mouse == m)]
            medians[m, i] = np.median(known) if np.isfinite(known).all() else np.nan
    return correct, medians
