"""ibl-2019: IBL training as rigs 4.x to 7.x really ran it, 2019 to 2023.

The contrast sets are those of the documents; what differs:

- An error is repeated if the newly drawn contrast is easy, whatever the failed one was (`envs.task.debias`), in the last stage
  too, and after no-gos. `probability_left` is stored as 1 - m on repeats, m the leftward responses among the last ten,
  over ten from the first trial of a session on, no-gos counting as not leftward.
- The trial after a chain of repeats is no repeat, and `probability_left` is .5 again, but its side is drawn with what was
  stored of the last repeat. So the trials that are no repeats are not balanced for a mouse with a bias: of one with a
  bias of 2 logits to the right, 60 % follow a chain and 85 % of those are on the left. As the rig did it; judge the
  balance of stimuli by `side`, not by `probability_left`.
- Only trials that were no repeats, and not the last of their session, count to advance, and buffers and counter last
  over sessions: .0625 comes 200, zero 400 and the loss of .5 600 such trials after .125.
- The gain returns to 8 after a session of less than 200 trials; 200 trials, not 201, lower the reward.

Not modelled: impulsive control (a lower reward and longer time-out after a fast and lopsided session), which the rig's
own history calls broken. Sources: iblrig 6.2.5 `adaptive.py`, `trial_params.py`, the same from 4.0.0 to 7.2.6.
"""

from envs.protocol import Protocol
from envs.protocols.ibl_documented import IBL_DOCUMENTED

IBL_2019 = Protocol(
    name="ibl-2019",
    stages=tuple(stage.model_copy(update={"debias": True}) for stage in IBL_DOCUMENTED.stages),
    debias_held_contrast=True,
    debias_fixed_buffer=True,
    debias_after_no_go=True,
    adaptive_only=True,
    keeps_performance=True,
    history_trials=1,
    adapts="2019",
)
