"""DNNGLM of Liu, Geadah & Pillow 2025, arXiv 2509.04661: each change of the weights follows from its own trial alone."""

from __future__ import annotations

from typing import ClassVar

from agents.neural.rule import NeuralRule


class DNNRule(NeuralRule):
    """A multilayer perceptron of the weights, the features, the choice and the reward."""

    name: ClassVar[str] = "dnnglm"
