"""Made-up behaviour: choices drawn from one psychometric curve."""

import numpy as np

from twin.data.rollout import Rollout
from twin.evaluation.psychometric.curve import psychometric

FULL = (-1, -0.25, -0.125, -0.0625, 0, 0.0625, 0.125, 0.25, 1)


def rollout(mice=3, sessions=8, trials=60, contrasts=FULL, staged=True, seed=0, truth=(5, 20, 0.05, 0.1)):
    """Mouse m has m sessions fewer, each of them at stage min(session, 5)."""
    rng = np.random.default_rng(seed)
    lengths = np.array([max(sessions - m, 1) * trials for m in range(mice)])
    n = lengths.sum()
    session = np.concatenate([np.arange(length) // trials for length in lengths]).astype(np.int32)
    contrast = rng.choice(np.array(contrasts, np.float32), n)
    choice = (rng.random(n) < psychometric(100.0 * contrast, *truth)).astype(np.int8)
    choice[rng.random(n) < 0.02] = -1
    side = np.where(contrast == 0, 1, np.sign(contrast)).astype(np.int8)
    columns = {
        "session": session,
        "contrast": contrast,
        "side": side,
        "choice": choice,
        "reward": (2 * choice - 1 == side).astype(np.int8),
        "probability_left": np.full(n, 0.5, np.float32),
    }
    if staged:
        columns["stage"] = np.minimum(session, 5).astype(np.int8)
    return Rollout(columns, np.concatenate([[0], np.cumsum(lengths)]), tuple(f"m{m}" for m in range(mice)))
