"""The rig: what the IBL task and its training protocols decide, as compiled functions and as Gymnasium environments."""

import gymnasium as gym

from envs.protocols import PROTOCOLS, Protocol, Stage, Transition, load_protocol

if "IBL/TrainingChoiceWorld-v0" not in gym.registry:
    gym.register("IBL/TrainingChoiceWorld-v0", entry_point="envs.scalar:ChoiceWorldEnv", kwargs={"protocol": "ibl-documented"})

__all__ = ["PROTOCOLS", "Protocol", "Stage", "Transition", "load_protocol"]
