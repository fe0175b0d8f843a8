"""Running a model over recorded trials so that it can be differentiated: the strategies.

A model has `init(n_mice)` and `learn(state, x, choice, reward, p_right)`. The strategy that turns these into logits is an
argument, never part of the model. `loop` is the reference, plain autograd through every trial, on any device; `fused` runs
the same recurrence in compiled kernels with a backward pass of their own, on the CPU, for a model that says by `fused` what
they compute of it; `auto` is fused where that can be and the loop elsewhere. `segment` truncates back-propagation: nothing
flows back across multiples of that many trials.

Noisy weights: a batch may carry the gains of a filter (`twin.inference.noise.extended_kalman`), by which each choice corrects
the weights before they are learned from. The logits are then those of the moderated output (MacKay 1992,
doi 10.1162/neco.1992.4.5.720), the probability of a choice expected under the uncertainty of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from agents.neural.rule import NeuralState, policy, read_out
from twin.data.trials import Trials
from twin.inference.settings import StrategyName


class Batch(NamedTuple):
    """Trials of M mice as tensors; what is recorded, without what is counted."""

    x: Tensor  # (M, T, K)
    choice: Tensor  # (M, T, 1): 0, 1, or -1 without a choice
    reward: Tensor  # (M, T, 1)
    gain: Tensor | None = None  # (M, T, K) of the correction of noisy weights by the choice
    moderated_x: Tensor | None = None  # (M, T, K) features, scaled by how far uncertain weights flatten the choice
    own: Tensor | None = None  # (M, R, K) parameters of each mouse, natural units

    @classmethod
    def of(cls, trials: Trials, dtype: torch.dtype = torch.float32) -> Batch:
        """The recorded part of trials."""
        choice, reward = (torch.as_tensor(a).to(dtype)[..., None] for a in (trials.choice, trials.reward))
        return cls(torch.as_tensor(trials.x).to(dtype), choice, reward)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor changed."""
        return Batch(*(None if a is None else change(a) for a in self))  # type: ignore[arg-type]

    def of_mice(self, mice: Any) -> Batch:
        """Some mice of it."""
        return self.each(lambda a: a[mice])

    def of_trials(self, trials: slice) -> Batch:
        """Some trials of it."""
        return self._replace(own=None).each(lambda a: a[:, trials])._replace(own=self.own)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self.each(lambda a: a.to(device))


Strategy = Callable[[Any, Batch, Tensor | None, int | None], Tensor]  # model, batch, weights, segment -> path (M, T, K)


def unroll(
    model: Any, batch: Batch, weights: Tensor | None = None, *, strategy: StrategyName = "loop", segment: int | None = None
) -> tuple[Tensor, Tensor]:
    """Logit of a right choice at each trial (M, T), and the weights that produced it (M, T, K).

    `weights` (M, K) are those before the first trial; by default the model's own `init` decides. Raises ValueError for a
    strategy that the model does not have.
    """
    path = find_strategy(strategy, model, batch.x.device)(model, batch, weights, segment)
    return (path * (batch.x if batch.moderated_x is None else batch.moderated_x)).sum(-1), path


def find_strategy(name: StrategyName, model: Any, device: torch.device) -> Strategy:
    """How a model is run on a device. Raises ValueError if it cannot be run so."""
    fused = FUSED.get(getattr(model, "fused", None))
    if name == "fused" and fused is None:
        raise ValueError(f"strategy = 'fused': {type(model).__name__} has only the loop; use 'auto' or 'loop'")
    if name == "fused" and device.type != "cpu":
        raise ValueError(f"strategy = 'fused': compiled kernels run on the CPU, not on {device}; use 'auto' or 'loop'")
    return _loop if fused is None or name == "loop" or device.type != "cpu" else fused


def _loop(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    state = _start(model, batch, weights)
    path = []
    for t in range(batch.x.shape[1]):
        if segment and t and t % segment == 0:
            state = _with_own(_detached(state), batch)
        x = batch.x[:, t]
        path.append(state.weights)
        choice = batch.choice[:, t]
        if batch.gain is not None and batch.moderated_x is not None:
            state = state._replace(weights=_corrected(state.weights, batch.moderated_x[:, t], batch.gain[:, t], choice))
        state = model.learn(state, x, choice, batch.reward[:, t], policy(state.weights, x))
    return torch.stack(path, dim=1)


def _start(model: Any, batch: Batch, weights: Tensor | None) -> Any:
    """The state before the first trial."""
    state = model.init(len(batch.x))
    state = state if weights is None else state._replace(weights=weights)
    return _with_own(state, batch)


def _with_own(state: Any, batch: Batch) -> Any:
    """The state with what is the mice's own, whose gradient no segment cuts."""
    return state if batch.own is None else state._replace(own=batch.own)


def _corrected(weights: Tensor, moderated_x: Tensor, gain: Tensor, choice: Tensor) -> Tensor:
    innovation = (choice >= 0) * (choice - policy(weights, moderated_x))
    return weights + gain * innovation


def _detached(state: Any) -> Any:
    if state is None or isinstance(state, Tensor):
        return None if state is None else state.detach()
    parts = [_detached(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _change(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    """By kernels whose output changes the weights."""
    from twin.inference.neural.kernels import Correction, Options, Recorded, kernel_unroll  # compiled only when used

    state, s, network = _start(model, batch, weights), model.settings, model.network(batch.own)
    inputs, mirror = model.recorded(batch.x, batch.choice, batch.reward)
    correction = None
    if batch.gain is not None and batch.moderated_x is not None:
        correction = Correction(batch.moderated_x, batch.gain, batch.choice[..., 0])
    recorded = Recorded(
        inputs,
        mask=_learns(batch),
        gate=batch.x if s.gradient_form else None,
        features=batch.x,
        base_rule=model.base_rule_coefficients(batch.x, batch.choice, batch.reward, batch.own),
        correction=correction,
    )
    options = Options(activation=s.activation, mirror=mirror, sees_probability=s.probability, segment=segment)
    h0 = None if network.gru is None else state.hidden
    return kernel_unroll(network, recorded, state.weights, h0, options)[0]


def _learns(batch: Batch) -> Tensor:
    """1 where there is a choice, else 0, (M, T)."""
    return (batch.choice[..., 0] >= 0).to(batch.x.dtype)


def _readout(model: Any, batch: Batch, weights: Tensor | None, segment: int | None) -> Tensor:
    """By kernels whose output is read out as the weights, w_t = w_0 + scale (R h_t - R h_0)."""
    state = model.init(len(batch.x))
    trials = batch.x.shape[1]
    pieces = []
    if weights is not None:
        state = state._replace(weights=weights)
    for t in range(0, trials, segment or trials):
        part = batch.of_trials(slice(t, t + (segment or trials)))
        state = _detached(state) if t else state
        readouts, hidden = _readouts(model, state.hidden, part)
        path = _with_corrections(state.weights[:, None] + readouts - readouts[:, :1], part)
        pieces.append(path[:, :-1])
        state = NeuralState(path[:, -1], hidden)
    return torch.cat(pieces, dim=1)


def _readouts(model: Any, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Readout of the memory before each trial and after the last (M, T + 1, K), and the memory after it."""
    from twin.inference.neural.kernels import Options, Recorded, kernel_unroll

    network = model.network()
    inputs, mirror = model.recorded(batch.x, batch.choice, batch.reward)
    options = Options(mirror=mirror, sees_weights=False, output="readout")
    before = read_out(network, mirror, hidden)
    path, last, after = kernel_unroll(network, Recorded(inputs, _learns(batch)), before, hidden, options)
    return torch.cat([path, last[:, None]], dim=1), after


def _with_corrections(path: Tensor, batch: Batch) -> Tensor:
    """A path (M, T + 1, K), each of whose corrections by a choice also moves all that follows."""
    if batch.gain is None or batch.moderated_x is None:
        return path
    moved = [torch.zeros_like(path[:, 0])]
    each = (a.unbind(1) for a in (batch.moderated_x, batch.gain, batch.choice))
    for t, (moderated_x, gain, choice) in enumerate(zip(*each, strict=True)):
        moved.append(_corrected(path[:, t] + moved[-1], moderated_x, gain, choice) - path[:, t])
    return path + torch.stack(moved, dim=1)


FUSED: dict[str | None, Strategy] = {"change": _change, "readout": _readout}
