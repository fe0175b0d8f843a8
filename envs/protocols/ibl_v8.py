"""ibl-v8: IBL training by iblrig 8.24.7 as written, each of its three defects a switch that is off.

As `ibl-documented`, but a no-go is followed by a repeat and a session that slows down goes on until 45 min. The defects:

- `scaled_contrast_check`: the contrasts of the phase check are multiplied by the position (35) instead of its sign, so
  no mouse leaves phases 0 and 1 (8.24.0 to 8.26.x; iblrig issue 760).
- `debias_whole_session`: the side of a repeat follows all responses of the session, not the last ten (8.8 to 8.26).
- `zero_contrast_left`: every zero-contrast trial is rewarded on the left (8.8.2 to 8.24.7).

Not modelled: the signed contrast is drawn in one, whose probabilities are those of contrast and side drawn apart.
Sources: iblrig 8.24.7 `base_choice_world.py`, `choiceworld.py`, `_iblrig_tasks_trainingChoiceWorld/task.py`.
"""

from envs.protocol import Protocol
from envs.protocols.ibl_documented import IBL_DOCUMENTED
from envs.protocols.ibl_session import RIG_8_SESSION

IBL_V8 = Protocol(
    name="ibl-v8",
    stages=IBL_DOCUMENTED.stages,
    debias_after_no_go=True,
    adapts="v8",
    **RIG_8_SESSION,
)
