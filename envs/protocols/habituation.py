"""habituation: the wheel moves nothing; the stimulus jumps to the centre by itself and water is given every time.

Full contrast on a random side for a normal time of mean 10 and sd 2 s, half a second in the centre, 3 microlitres.
Sessions end after 90 min. Source: iblrig 8.24.7 `_iblrig_tasks_habituationChoiceWorld`.
"""

from envs.protocol import Protocol, Stage
from envs.protocols.ibl_session import BY_TRIALS_ALONE

HABITUATION = Protocol(
    name="habituation",
    stages=(Stage(contrasts=(1,), debias=False),),
    coupled=False,
    correct_s=0.5,
    **(BY_TRIALS_ALONE | {"session_minutes": 90}),
)
