"""ibl-documented: IBL training as its protocol documents describe it.

Contrast sets and transitions of iblrig 8.27+ (per-signed-contrast buffers and counters that start afresh in every
session, fixed denominator of 50), repeats after errors at contrasts of .5 and above with the left-response fraction of
the last ten responses, and a random side on zero-contrast trials. A no-go is not repeated (rig 8.29.5). What rigs 4.x to
7.x did differs. Source: iblrig `choiceworld.py`, `_iblrig_tasks_trainingChoiceWorld`; IBL protocol,
doi:10.6084/m9.figshare.11634729.
"""

from envs.protocol import Protocol, Stage, Transition

IBL_DOCUMENTED = Protocol(
    name="ibl-documented",
    stages=(
        Stage(contrasts=(1, 0.5), advance=Transition(contrasts=(1, 0.5))),
        Stage(contrasts=(1, 0.5, 0.25), advance=Transition(contrasts=(0.25,))),
        Stage(contrasts=(1, 0.5, 0.25, 0.125), advance=Transition(trials=200)),
        Stage(contrasts=(1, 0.5, 0.25, 0.125, 0.0625), advance=Transition(trials=200)),
        Stage(contrasts=(1, 0.5, 0.25, 0.125, 0.0625, 0), advance=Transition(trials=200)),
        Stage(contrasts=(1, 0.25, 0.125, 0.0625, 0), debias=False),
    ),
    adapts="v8",
)
