"""biased, biased-half-zero, ephys: the full task, with blocks in which one side is the more likely.

No debiasing and nothing adapts: gain 4, 1.5 microlitres. `biased` shows zero contrast as often as the others (rigs from
5.1.0, 11 July 2019, on); `biased-half-zero` half as often (before). `ephys` is half-zero too, with a first block of 90
trials that shows each signed contrast 10 times and zero 5 times a side; its sessions are generated for each mouse and
day by the rules of the rig's session generator, not taken from its twelve stored ones. Sources: iblrig 6.2.5 and 8.24.7
`_iblrig_tasks_biasedChoiceWorld`, `session_creator.py`.
"""

from typing import Any

from envs.protocol import Blocks, Protocol, Stage

_CONTRASTS = (1, 0.25, 0.125, 0.0625, 0)
_FIXED: dict[str, Any] = {"reward_ul": 1.5, "gain": 4}

BIASED = Protocol(
    name="biased",
    stages=(Stage(contrasts=_CONTRASTS, weights=(1, 1, 1, 1, 1), debias=False, blocks=Blocks()),),
    **_FIXED,
)
BIASED_HALF_ZERO = Protocol(
    name="biased-half-zero",
    stages=(Stage(contrasts=_CONTRASTS, weights=(1, 1, 1, 1, 0.5), debias=False, blocks=Blocks()),),
    **_FIXED,
)
EPHYS = Protocol(
    name="ephys",
    stages=(Stage(contrasts=_CONTRASTS, weights=(1, 1, 1, 1, 0.5), debias=False, blocks=Blocks(balanced=True)),),
    **_FIXED,
)
