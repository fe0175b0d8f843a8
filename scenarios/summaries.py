"""What a network is shown of a mouse for an amortised posterior (`scenarios.amortised`): summaries of its choices, and where
the likelihood leads. All are finite, whatever the mouse does."""

from __future__ import annotations

import numpy as np

import twin
from twin.inference.posterior.mouse import Mouse

BLOCKS, PARTS, LEAST_PART, EASY = 16, 3, 20, 0.5  # blocks of a life, parts of a session, trials of a part, contrast
LAGS = 2 ** np.arange(9)  # trials
STEPS, FAR = 3, 3.0  # of Fisher's scoring; standard deviations of the prior within which they stay


def logistic(x: np.ndarray, choice: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    """Weights of stimulus and bias (2, n) in each of n groups of choices, by Newton's steps under a normal prior of sd 2."""
    w: np.ndarray = np.zeros((2, n))
    for _ in range(6):
        p = 1 / (1 + np.exp(-w[0, group] * x - w[1, group]))
        e, v = choice - p, p * (1 - p)
        g, h, aa, ab, bb = np.array([np.bincount(group, part, n) for part in (e * x, e, v * x * x, v * x, v)], float)
        g, h, aa, bb = g - w[0] / 4, h - w[1] / 4, aa + 0.25, bb + 0.25
        w = w + np.array([bb * g - ab * h, aa * h - ab * g]) / (aa * bb - ab * ab)
    return w


def of_steps(x: np.ndarray, choice: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Of the steps of both weights from part to part of a session, and from night to night (2, 7): how many, their mean, mean
    square, and mean product with the step before. `part` (T,) counts parts from 0, PARTS a session."""
    there = np.unique(part)
    steps = np.diff(logistic(x, choice, part, there.max(initial=0) + 1)[:, there], prepend=0)
    steps, before, night = steps[:, 1:], steps[:, :-1], there[1:] % PARTS == 0
    return np.array([_moments(steps[:, at], before[:, at]) for at in (~night, night)])


def _moments(steps: np.ndarray, before: np.ndarray) -> np.ndarray:
    n = steps.shape[1]
    return np.append(n, [part.sum(axis=1) / max(n, 1) for part in (steps, steps**2, steps * before)])


def of_lags(x: np.ndarray, error: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Mean products of errors LAGS apart (4, L): within a session and across nights, as they are and times the stimulus."""
    out = []
    for lag in LAGS:
        night = day[lag:] != day[:-lag]
        pairs = [e[lag:] * e[:-lag] for e in (error, error * x)]
        out.append([both[at].sum() / (1 + at.sum()) for at in (~night, night) for both in pairs])
    return np.transpose(out)


def of_choices(trials: twin.Trials, m: int) -> np.ndarray:
    """Summaries of a mouse's choices (D,).

    Of each of BLOCKS: weights, what share of choices is rewarded, right at easy left and right stimuli, and like the one
    before after a reward and after none, sessions begun; then `of_steps`, and `of_lags` of what the weights do not explain.
    """
    x, choice, reward, begins = trials.x[m, :, 0], trials.choice[m], trials.reward[m], trials.new_session[m]
    day, block, made = np.cumsum(begins) - 1, np.arange(len(x)) * BLOCKS // len(x), choice >= 0
    after = np.append(False, made[:-1]) & made
    rewarded, repeated = np.append(False, reward[:-1] > 0), np.append(False, choice[1:] == choice[:-1])

    def share(of: np.ndarray, among: np.ndarray) -> np.ndarray:
        return (np.bincount(block[among], of[among], BLOCKS) + 0.5) / (np.bincount(block[among], minlength=BLOCKS) + 1)

    weights = logistic(x[made], choice[made], block[made], BLOCKS)
    error = np.where(made, choice - 1 / (1 + np.exp(-weights[0, block] * x - weights[1, block])), 0)
    shares = [share(reward, made), share(choice, made & (x <= -EASY)), share(choice, made & (x >= EASY))]
    shares += [share(repeated, after & rewarded), share(repeated, after & ~rewarded)]
    blocks = [*weights, *shares, np.bincount(block, begins, BLOCKS)]
    length = np.bincount(day)[day] // PARTS  # trials of a part
    part = (np.arange(len(x)) - np.flatnonzero(begins)[day]) // np.maximum(length, 1)
    inside = made & (part < PARTS) & (length >= LEAST_PART)
    steps = of_steps(x[inside], choice[inside], (day * PARTS + part)[inside])
    return np.concatenate([np.transpose(blocks).ravel(), steps.ravel(), 10 * of_lags(x, error, day).ravel()])


def of_filter(mouse: Mouse) -> np.ndarray:
    """Where steps of Fisher's scoring lead from the prior's centre, STEPS times 3 F + 1 numbers: coordinates, their sizes, the
    logarithms of the standard deviations there were before the step, and the log-likelihood per choice."""
    own = mouse.coordinates
    ends = own.centre + FAR * np.outer([-1, 1], own.width)
    u, found = own.centre, []
    for _ in range(STEPS):
        scores = mouse.scores(u)
        precision = scores.information + np.diag(own.width**-2)
        step = np.linalg.solve(precision, scores.gradient - (u - own.centre) / own.width**2)
        u = np.clip(u + step, *ends)
        log_sd = 0.5 * np.log(np.diag(np.linalg.inv(precision)))
        found += [u, np.abs(u), log_sd, [scores.value / mouse.likelihood.trials.counts.sum()]]
    return np.concatenate(found)
