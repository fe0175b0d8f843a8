"""constant: one stage for ever, the final contrast set of IBL training without debiasing; the control of every design.

Sessions are of 571 trials each, whatever time they take.
"""

from envs.protocol import Protocol, Stage
from envs.protocols.ibl_session import BY_TRIALS_ALONE

CONSTANT = Protocol(
    name="constant",
    stages=(Stage(contrasts=(1, 0.25, 0.125, 0.0625, 0), debias=False),),
    session_trials=571,
    **BY_TRIALS_ALONE,
)
