"""Running a model over recorded trials so that it can be differentiated: the strategies.

A model has `init(n_mice)` and `learn(state, x, choice, reward, p_right)`; which strategy turns that into logits is an
argument and never part of the model. `loop` is the reference, plain autograd through every trial, on any device; `fused` runs
the same recurrence in compiled kernels with a backward pass of their own, on the CPU, for a model that says by `fused` what
they compute of it; `auto` is fused where that can be and the loop elsewhere. `segment` truncates back-propagation: nothing
flows back across multiples of that many trials.

Noisy weights: a batch may carry the gains of a filter (`noisy`), by which each choice corrects the weights before they are
learned from; the logits are then those of the probability expected under their uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agents.neural.networks import NeuralState
from agents.neural.sequence import read
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

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor changed."""
        gain, seen = (None if a is None else change(a) for a in (self.gain, self.seen))
        return Batch(change(self.x), change(self.choice), change(self.reward), gain, seen)

    def of_mice(self, mice: Any) -> Batch:
        """Some mice of it."""
        return self.each(lambda a: a[mice])

    def of_trials(self, trials: slice) -> Batch:
        """Some trials of it."""
        return self.each(lambda a: a[:, trials])

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self.each(lambda a: a.to(device))


Way = Callable[[Any, Batch, Tensor | None, int | None], Tensor]  # model, batch, weights, segment -> path (M, T, K)


def unroll(
    model: Any, batch: Batch, weights: Tensor | None = None, *, strategy: Strategy = "loop", segment: int | None = None
) -> tuple[Tensor, Tensor]:
    """Logit of a right choice at each trial (M, T), and the weights that produced it (M, T, K).

    `weights` (M, K) are those before the first trial; by default the model's own `init` decides. Raises ValueError for a
    strategy that the model does not have.
    """
    path = find_way(strategy, model, batch.x.device)(model, batch, weights, segment)
    return (path * (batch.x if batch.seen is None else batch.seen)).sum(-1), path


def find_way(strategy: Strategy, model: Any, device: torch.device) -> Way:
    """How a strategy runs a model on a device. Raises ValueError if it cannot."""
    way = FUSED.get(getattr(model, "fused", None))
    if strategy == "fused" and way is None:
        raise ValueError(f"strategy = 'fused': {type(model).__name__} has only the loop; use 'auto' or 'loop'")
    if strategy == "fused" and device.type != "cpu":
        raise ValueError(f"strategy = 'fused': compiled kernels run on the CPU, not on {device}; use 'auto' or 'loop'")
    return _loop if way is None or strategy == "loop" or device.type != "cpu" else way


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
            state = state._replace(weights=_corrected(state.weights, batch.seen[:, t], batch.gain[:, t], batch.choice[:, t]))
        p = torch.sigmoid((state.weights * x).sum(-1, keepdim=True))
        state = model.learn(state, x, batch.choice[:, t], batch.reward[:, t], p)
    return torch.stack(path, dim=1)


def _corrected(weights: Tensor, seen: Tensor, gain: Tensor, choice: Tensor) -> Tensor:
    surprise = (choice >= 0) * (choice - torch.sigmoid((weights * seen).sum(-1, keepdim=True)))
    return weights + gain * surprise


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    parts = [_detached(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _change(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    from twin.inference.neural.kernels import Correction, dnn_unroll, gru_unroll  # the kernels are loaded only when used

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


def _reading(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    state, trials, pieces = model.init(len(batch.x)), batch.x.shape[1], []
    if weights is not None:
        state = state._replace(weights=weights)
    for t in range(0, trials, segment or trials):
        part = batch.of_trials(slice(t, t + (segment or trials)))
        state = _detached(state) if t else state
        readings, hidden = _readings(model, state.hidden, part)
        path = _with_corrections(state.weights[:, None] + readings - readings[:, :1], part)
        pieces.append(path[:, :-1])
        state = NeuralState(path[:, -1], hidden)
    return torch.cat(pieces, dim=1)


def _readings(model: Any, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Reading of the memory before each trial and after the last (M, T + 1, K), and the memory after it.

    By the kernels of RNNGLM: its GRU is made blind to the weights, and a core takes the weights away, so what is read stays.
    """
    from twin.inference.neural.kernels import gru_unroll

    k, ((weight_ih, *rest), layers, scale) = batch.x.shape[-1], model.parts()
    inputs, mirror = model.recorded(batch.x, batch.choice, batch.reward)
    learns = (batch.choice[..., 0] >= 0).to(batch.x.dtype)
    core = batch.x.new_tensor([0.0, 0.0, 0.0, -1.0])[:, None].expand(*batch.x.shape[:2], 4, k)
    gru, first = (nn.functional.pad(weight_ih, (k, 0)), *rest), read(model.parts(), mirror, hidden)
    options: Any = {"mirror": mirror, "features": batch.x, "core": core}
    path, last, after = gru_unroll(first, hidden, inputs, None, learns, gru, layers, scale, **options)
    return torch.cat([path, last[:, None]], dim=1), after.view_as(hidden)


def _with_corrections(path: Tensor, batch: Batch) -> Tensor:
    """A path (M, T + 1, K), each of whose corrections by a choice also moves all that follows."""
    if batch.gain is None or batch.seen is None:
        return path
    moved = [torch.zeros_like(path[:, 0])]
    for t, (seen, gain, choice) in enumerate(zip(*(a.unbind(1) for a in (batch.seen, batch.gain, batch.choice)), strict=True)):
        moved.append(_corrected(path[:, t] + moved[-1], seen, gain, choice) - path[:, t])
    return path + torch.stack(moved, dim=1)


FUSED: dict[str | None, Way] = {"change": _change, "reading": _reading}
