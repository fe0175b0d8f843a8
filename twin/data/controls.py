"""Records with something taken out of them: what a fit still finds there is not in the mice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from twin.data.rollout import Rollout

SHUFFLED = "rewards were shuffled over the trials of each mouse before the fit: a control in which nothing is learned from them"


def shuffle_rewards(rollout: Rollout, seed: int = 0) -> Rollout:
    """The same record with each mouse's rewards permuted over its choices whose reward is known; mouse m's by seed and m alone.

    How often a mouse is rewarded stays as it was; for what is not. Raises ValueError if no mouse has two different rewards.
    """
    reward, counted = rollout.reward.copy(), (rollout.choice >= 0) & (rollout.reward >= 0)
    differ = False
    for m in range(rollout.n_mice):
        mine = rollout.starts[m] + np.flatnonzero(counted[rollout.of_mouse(m)])
        reward[mine] = np.random.default_rng([seed, m]).permutation(reward[mine])
        differ |= len(mine) > 0 and bool(np.ptp(reward[mine]))
    if not differ:
        known = np.unique(rollout.reward[counted])
        found = f"every known reward is {known[0]}" if len(known) else "no choice has a known reward"
        raise ValueError(
            f"shuffle_rewards: {found} in {rollout.n_mice} mice, nothing to shuffle; give a record that tells rewards "
            f"(a column of rewards, or of rewarded sides), or leave shuffle_rewards out"
        )
    return replace(rollout, columns={**rollout.columns, "reward": reward})
