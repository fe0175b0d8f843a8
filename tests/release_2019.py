"""Is the IBL's release of behaviour of December 2019 read as others read it?

    python tests/release_2019.py FOLDER

FOLDER is `ibl-behavioral-data-Dec2019`, unpacked from doi 10.6084/m9.figshare.11636748. Selected as by Ashwood et al. 2022:
sessions whose blocks are exactly .2, .5 and .8, of mice with 30 such sessions or more; trials outside of the biased blocks; no
session with 10 or more of these without a choice. Exits with 1 if mice, sessions and trials are others than published.
"""

from __future__ import annotations

import sys

import numpy as np

from twin.data.formats import read
from twin.data.rollout import Rollout

PUBLISHED = (37, 2017, 181_530)
BLOCKS = (0.2, 0.5, 0.8)
LEAST_SESSIONS = 30
MOST_NO_GOS = 10


def selected(rollout: Rollout) -> tuple[int, int, int]:
    """Mice, sessions and trials that the selection leaves."""
    sessions, probability = rollout.sessions, np.round(rollout.probability_left.astype(float), 6)
    rows = [slice(start, stop) for start, stop in zip(sessions.start, sessions.stop, strict=True)]
    whole = np.array([np.array_equal(np.unique(probability[session]), BLOCKS) for session in rows])
    enough = np.bincount(sessions.mouse[whole], minlength=rollout.n_mice) >= LEAST_SESSIONS
    unbiased = probability == 0.5
    no_gos = np.array([np.count_nonzero(unbiased[session] & (rollout.choice[session] < 0)) for session in rows])
    kept = whole & enough[sessions.mouse] & (no_gos < MOST_NO_GOS)
    trials = sum(int(np.count_nonzero(unbiased[session])) for session, keep in zip(rows, kept, strict=True) if keep)
    return len(np.unique(sessions.mouse[kept])), int(kept.sum()), trials


def main() -> int:
    """Read, select, compare; the exit status."""
    rollout = read(sys.argv[1])
    print(rollout, *rollout.notes, sep="\n")
    found = selected(rollout)
    print(f"{found[0]} mice, {found[1]} sessions, {found[2]} trials; published: {PUBLISHED}")
    return 0 if found == PUBLISHED else 1


if __name__ == "__main__":
    sys.exit(main())
