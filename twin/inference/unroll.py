"""Running a model over recorded trials so that it can be differentiated: the strategies.

A model has `init(n_mice)` and `learn(state, x, choice, reward, p_right)`; which strategy turns that into logits is an
argument and never part of the model. `loop` is the reference, plain autograd through every trial; `fused` runs the same
recurrence of a neural rule in compiled kernels with a backward pass of their own. `segment` truncates back-propagation:
nothing flows back across multiples of that many trials.

Noisy weights: a batch may carry the gains of a filter (`noisy`), by which each choice corrects the weights before they are
learned from; the logits are then those of the probability expected under their uncertainty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from twin.data.trials import Trials
from twin.inference.settings import Strategy


class Batch(NamedTuple):
    """Trials of M mice as tensors; what is recorded, without what is counted."""

    x: Tensor  # (M, T, K)
    choice: Tensor  # (M, T, 1): 0, 1, or -1 without a choice
    reward: Tensor  # (M, T, 1)
    gain: Tensor | None = None  # (M, T, K) of the correction of noisy weights by the choice
    seen: Tensor | None = None  # (M, T, K) features, scaled by how far the uncertainty of the weights flattens the choice

    @classmethod
    def of(cls, trials: Trials, dtype: torch.dtype = torch.float32) -> Batch:
        """The recorded part of trials."""
        choice, reward = (torch.as_tensor(a).to(dtype)[..., None] for a in (trials.choice, trials.reward))
        return cls(torch.as_tensor(trials.x).to(dtype), choice, reward)

    def of_mice(self, mice: Any) -> Batch:
        """Some mice of it."""
        gain, seen = (None if a is None else a[mice] for a in (self.gain, self.seen))
        return Batch(self.x[mice], self.choice[mice], self.reward[mice], gain, seen)


def unroll(
    model: Any, batch: Batch, weights: Tensor | None = None, *, strategy: Strategy = "loop", segment: int | None = None
) -> tuple[Tensor, Tensor]:
    """Logit of a right choice at each trial (M, T), and the weights that produced it (M, T, K).

    `weights` (M, K) are those before the first trial; by default the model's own `init` decides.
    """
    path = (_loop if strategy == "loop" else _fused)(model, batch, weights, segment)
    return (path * (batch.x if batch.seen is None else batch.seen)).sum(-1), path


def _loop(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    state = model.init(len(batch.x))
    if weights is not None:
        state = state._replace(weights=weights)
    path = []
    for t in range(batch.x.shape[1]):
        if segment and t and t % segment == 0:
            state = _detached(state)
        x = batch.x[:, t]
        path.append(state.weights)
        if batch.gain is not None and batch.seen is not None:
            state = _corrected(state, batch.seen[:, t], batch.gain[:, t], batch.choice[:, t])
        p = torch.sigmoid((state.weights * x).sum(-1, keepdim=True))
        state = model.learn(state, x, batch.choice[:, t], batch.reward[:, t], p)
    return torch.stack(path, dim=1)


def _corrected(state: Any, seen: Tensor, gain: Tensor, choice: Tensor) -> Any:
    surprise = (choice >= 0) * (choice - torch.sigmoid((state.weights * seen).sum(-1, keepdim=True)))
    return state._replace(weights=state.weights + gain * surprise)


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    parts = [_detached(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _fused(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    from agents.fused import Correction, dnn_unroll, gru_unroll  # the kernels are loaded only when used

    state, s = model.init(len(batch.x)), model.settings
    w0 = state.weights if weights is None else weights
    inputs, mirror = model.recorded(batch.x, batch.choice, batch.reward)
    gate = batch.x if s.gradient_form else None
    learns = (batch.choice[..., 0] >= 0).to(batch.x.dtype)
    gru, layers, scale = model.parts()
    correction = None
    if batch.gain is not None and batch.seen is not None:
        correction = Correction(batch.seen, batch.gain, batch.choice[..., 0])
    options: Any = {"activation": s.activation, "mirror": mirror, "segment": segment, "correction": correction}
    options |= {"features": batch.x, "core": model.core_coefficients(batch.x, batch.choice, batch.reward)}
    if gru is not None:
        return gru_unroll(w0, state.hidden[0], inputs, gate, learns, gru, layers, scale, **options)[0]
    return dnn_unroll(w0, inputs, gate, learns, layers, scale, **options)[0]
