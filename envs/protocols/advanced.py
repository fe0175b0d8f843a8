"""advanced: a fixed table of contingencies, each a stimulus with its own probability and reward.

The table here is the rig's default: six contrasts on two sides, equally likely, 1.5 microlitres each. Nothing adapts.
Source: iblrig 8.24.7 `_iblrig_tasks_advancedChoiceWorld`.
"""

from envs.protocol import Contingency, Protocol, Stage
from envs.protocols.ibl_session import RIG_8_SESSION

_ROWS = tuple(
    Contingency(contrast=contrast, side=side) for contrast in (1, 0.5, 0.25, 0.125, 0.0625, 0) for side in ("left", "right")
)

ADVANCED = Protocol(name="advanced", stages=(Stage(contingencies=_ROWS, debias=False),), reward_ul=1.5, gain=4, **RIG_8_SESSION)
