"""A rig to play by hand in tests: one mouse record under one protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from envs import Protocol, Stage, load_protocol
from envs.draws import mouse_keys
from envs.task.session import new_mice, next_session
from envs.task.trial import begin_trial, draw, present, score

TRAINING = ("ibl-2019", "ibl-v8", "ibl-documented")


class Rig:
    """One mouse; `trial` plays a trial that ends "correct", "wrong", "left", "right" or "no-go"."""

    def __init__(self, protocol: Protocol | str, stage: int = 0, seed: int = 1) -> None:
        self.protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
        self.record: Any = self.protocol.record[0]
        self.mouse: Any = new_mice(self.record, mouse_keys(seed, 1), stage)[0]

    def trial(self, end: str = "correct", seconds: float = 0.5) -> dict[str, Any]:
        """Draw a trial and end it."""
        draw(self.record, self.mouse)
        return self._end(end, seconds)

    def drawn(self, contrast: float, end: str) -> dict[str, Any]:
        """As `trial`, with the newly drawn contrast given."""
        begin_trial(self.record, self.mouse)
        present(self.record, self.mouse, self.protocol.contrasts.index(contrast))
        return self._end(end, 0.5)

    def _end(self, end: str, seconds: float) -> dict[str, Any]:
        mouse = self.mouse
        right = int(mouse.side > 0)
        seen = {
            "contrast": abs(float(mouse.contrast)),
            "right": right,
            "is_repeat": bool(mouse.is_repeat),
            "left": float(mouse.probability_left),
            "stage": int(mouse.stage),
            "quiescence": float(mouse.quiescence),
        }
        choice = {"correct": right, "wrong": 1 - right, "left": 0, "right": 1, "no-go": -1}[end]
        reward = score(self.record, mouse, choice, seconds)
        return seen | {"reward": reward, "drop_ul": float(mouse.drop_ul)}

    def night(self) -> None:
        """The next session."""
        next_session(self.record, self.mouse)


def only(name: str, stage: int, **changes: Any) -> Protocol:
    """A protocol with one of its stages alone, for ever."""
    kept: Stage = load_protocol(name).stages[stage].model_copy(update={"advance": None})
    return load_protocol(name, stages=[kept], **changes)


def outcomes(n: int, seed: int = 12354) -> np.ndarray:
    """Ends of n trials: correct .9, wrong .05, no-go .05, as in the rig's own tests."""
    return np.random.default_rng(seed).choice(["correct", "wrong", "no-go"], n, p=[0.9, 0.05, 0.05])


@njit
def _run(protocol, mice, ends, trials, quiescence, contrast, side, left, block, block_trial):
    """Trials of mouse 0, ended by `ends`: 1 correct, 0 wrong, -1 no-go."""
    for t in range(trials):
        draw(protocol[0], mice[0])
        mouse = mice[0]
        quiescence[t] = mouse.quiescence
        contrast[t] = abs(mouse.contrast)
        side[t] = mouse.side
        left[t] = mouse.probability_left
        block[t] = mouse.block
        block_trial[t] = mouse.block_trial
        right = 1 if mouse.side > 0 else 0
        end = ends[t % ends.shape[0]]
        score(protocol[0], mice[0], -1 if end < 0 else (right if end == 1 else 1 - right), 0.5)


def run(protocol, trials, ends=(1,), seed=1):
    """Columns of `_run`, one session long."""
    names = ("quiescence", "contrast", "side", "left", "block", "block_trial")
    columns = {name: np.zeros(trials) for name in names}
    mice = new_mice(protocol.record[0], mouse_keys(seed, 1))
    _run(protocol.record, mice, np.array(ends), trials, *columns.values())
    return columns
