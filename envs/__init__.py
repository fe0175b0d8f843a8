"""The rig: what the IBL task and its training protocols decide, as compiled functions and as Gymnasium environments."""

import gymnasium as gym

from envs.protocols import (
    PROTOCOLS,
    Blocks,
    Contingency,
    Protocol,
    Stage,
    Transition,
    load_protocol,
    read_protocol,
    write_protocol,
)

# Gymnasium id and the protocol it stands for; any other is `gym.make(id, protocol=...)`.
WORLDS = {
    "IBL/TrainingChoiceWorld-v0": "ibl-documented",
    "IBL/BiasedChoiceWorld-v0": "biased",
    "IBL/EphysChoiceWorld-v0": "ephys",
    "IBL/AdvancedChoiceWorld-v0": "advanced",
    "IBL/HabituationChoiceWorld-v0": "habituation",
}

for _id, _protocol in WORLDS.items():
    if _id not in gym.registry:
        # The environments check actions and the order of calls themselves; Gymnasium's wrappers would double a step's cost.
        gym.register(
            _id,
            entry_point="envs.gym.scalar:ChoiceWorldEnv",
            vector_entry_point="envs.gym.vector:ChoiceWorldVectorEnv",
            kwargs={"protocol": _protocol},
            order_enforce=False,
            disable_env_checker=True,
        )

__all__ = [
    "PROTOCOLS",
    "WORLDS",
    "Blocks",
    "Contingency",
    "Protocol",
    "Stage",
    "Transition",
    "load_protocol",
    "read_protocol",
    "write_protocol",
]
