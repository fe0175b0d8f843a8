"""constant: one stage for ever, the final contrast set of IBL training without debiasing; the control of every design."""

from envs.protocol import Protocol, Stage

CONSTANT = Protocol(name="constant", stages=(Stage(contrasts=(1, 0.25, 0.125, 0.0625, 0), debias=False),))
