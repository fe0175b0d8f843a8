"""liu-2025: the stimuli of Liu, Geadah & Pillow 2025 (arXiv 2509.04661): 17 values, equally likely and independent.

The paper's values run from -2 to 2 in steps of .25; here they are contrasts from -1 to 1, and the feature `scaled_contrast`
brings them back. A zero stimulus is rewarded on either side, at random.
"""

from envs.protocol import Protocol, Stage
from envs.protocols.ibl_session import BY_TRIALS_ALONE

LIU_2025 = Protocol(
    name="liu-2025",
    stages=(Stage(contrasts=tuple(n / 8 for n in range(8, -1, -1)), debias=False),),
    **BY_TRIALS_ALONE,
)
