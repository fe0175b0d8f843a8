"""What figures draw from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.data.trials import Trials

Update = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (w, x, choice, reward) -> (N, K)


@dataclass(frozen=True)
class Shown:
    """What a study has to show: its results, and whatever else it has; None or empty where it has not."""

    results: Mapping[str, Any]  # the table that results.json holds
    rollout: Rollout | None = None
    trials: Trials | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)  # model: (M, T, K), inferred from `trials`
    true_weights: np.ndarray | None = None  # (M, T, K)
    updates: Mapping[str, Update] = field(default_factory=dict)  # of the first mouse by model; its own rule's is "true"
