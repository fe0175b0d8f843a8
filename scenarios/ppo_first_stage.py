"""A PPO agent learns the first stage of IBL training on the scalar Gymnasium environment.

    python -m scenarios.ppo_first_stage            # a few seconds

Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) in the single-file manner of CleanRL, with nothing
but torch: a policy and a value network of one hidden layer, rollouts of 256 trials, four epochs of clipped updates each.
A trial is one step and its reward does not depend on later ones, so the discount is 0 and the advantage is reward - value.
Prints a line per rollout and ends when the rig moves the agent to the second stage (41 of the last 50 trials correct at
both contrasts on both sides, within a session), which is how a mouse would leave it.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import envs  # noqa: F401 (registers the environments)

ROLLOUT, EPOCHS, BATCH = 256, 4, 64
CLIP, ENTROPY, RATE = 0.2, 0.01, 3e-3


class Agent(nn.Module):
    """Logits of the actions (left, right, no-go) and the expected reward, of contrasts (N, 1)."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.policy = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, 3))
        self.value = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, contrast: torch.Tensor) -> tuple[torch.distributions.Categorical, torch.Tensor]:
        """Distribution of actions and expected reward (N,)."""
        return torch.distributions.Categorical(logits=self.policy(contrast)), self.value(contrast)[:, 0]


class Rollout(NamedTuple):
    """What happened in N trials, and how likely the agent then was to do what it did."""

    contrast: torch.Tensor  # (N, 1)
    action: torch.Tensor  # (N,)
    reward: torch.Tensor  # (N,)
    log_probability: torch.Tensor  # (N,)


class Rig:
    """The environment between rollouts: sessions follow one another."""

    def __init__(self, seed: int) -> None:
        self.env = gym.make("IBL/TrainingChoiceWorld-v0")
        self.observation, self.info = self.env.reset(seed=seed)

    @torch.no_grad()
    def collect(self, agent: Agent) -> Rollout:
        """The next ROLLOUT trials."""
        rows: list[tuple] = []
        for _ in range(ROLLOUT):
            contrast = torch.from_numpy(self.observation)
            actions, _ = agent(contrast[None])
            action = actions.sample()
            self.observation, reward, _, over, self.info = self.env.step(int(action))
            rows.append((contrast, action[0], torch.tensor(reward, dtype=torch.float32), actions.log_prob(action)[0]))
            if over:
                self.observation, self.info = self.env.reset()
        return Rollout(*(torch.stack(column) for column in zip(*rows, strict=True)))


def improve(agent: Agent, optimizer: torch.optim.Optimizer, rollout: Rollout) -> None:
    """EPOCHS passes over a rollout with the clipped objective."""
    with torch.no_grad():
        advantage = rollout.reward - agent(rollout.contrast)[1]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    for _ in range(EPOCHS):
        for pick in torch.randperm(ROLLOUT).split(BATCH):
            actions, value = agent(rollout.contrast[pick])
            ratio = (actions.log_prob(rollout.action[pick]) - rollout.log_probability[pick]).exp()
            gain = torch.minimum(ratio * advantage[pick], ratio.clamp(1 - CLIP, 1 + CLIP) * advantage[pick])
            value_loss = (value - rollout.reward[pick]).square().mean()
            loss = -gain.mean() + 0.5 * value_loss - ENTROPY * actions.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def train(seed: int = 1, most: int = 50_000) -> int | None:
    """Trials until the second stage, or None if it was not reached in `most`."""
    torch.manual_seed(seed)
    agent, rig = Agent(), Rig(seed)
    optimizer = torch.optim.Adam(agent.parameters(), lr=RATE)
    for trials in range(ROLLOUT, most + 1, ROLLOUT):
        rollout = rig.collect(agent)
        print(f"trials {trials:6d}   session {rig.info['session'] + 1:3d}   rewarded {np.mean(rollout.reward.numpy()):.2f}")
        if rig.info["stage"] > 0:
            return trials
        improve(agent, optimizer, rollout)
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A PPO agent learns the first stage of IBL training.")
    parser.add_argument("--seed", type=int, default=1)
    reached = train(parser.parse_args().seed)
    print(f"second stage after {reached} trials" if reached else "the second stage was not reached")
