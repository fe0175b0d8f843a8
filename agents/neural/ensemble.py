"""An ensemble of neural rules of one kind: a mouse whose weights change by the mean of what the members would do.

Each member keeps its own memory but reads the common weights. So an ensemble is again one network, as wide as all of them
together, with no connections between members; `network` puts it together for the compiled kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from agents.neural.rule import Network, NeuralMice, NeuralRule, NeuralState, Output
from agents.neural.settings import Mirror


class Ensemble(nn.Module):
    """Rules of one kind, on the same features and of the same settings, as one rule."""

    def __init__(self, members: Sequence[NeuralRule]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        first = members[0]
        self.name, self.features, self.settings = first.name, first.features, first.settings

    @property
    def scale(self) -> Tensor:
        """One for each weight: the members' own are in the readouts of `network`."""
        return torch.ones_like(self._any.scale)

    @property
    def fused(self) -> Output | None:
        """As `NeuralRule.fused`."""
        return self._any.fused

    @property
    def _any(self) -> NeuralRule:
        member = self.members[0]
        assert isinstance(member, NeuralRule)
        return member

    def recorded(self, *trials: Tensor) -> tuple[Tensor, Mirror | None]:
        """What every member sees, as `NeuralRule.recorded`."""
        return self._any.recorded(*trials)

    def init(self, n_mice: int) -> NeuralState:
        """State of mice before the first trial; the members' memories side by side."""
        first = self._any.init(n_mice)
        return first._replace(hidden=first.hidden.repeat(1, 1, len(self.members)))

    def learn(self, state: NeuralState, *trial: Tensor) -> NeuralState:
        """State after a trial, as `NeuralRule.learn`."""
        memories = state.hidden.tensor_split(len(self.members), dim=-1)
        after = [m.learn(NeuralState(state.weights, h), *trial) for m, h in zip(self.members, memories, strict=True)]  # type: ignore[operator]
        return NeuralState(torch.stack([a.weights for a in after]).mean(0), torch.cat([a.hidden for a in after], dim=-1))

    def base_rule_coefficients(self, x: Tensor, choice: Tensor, reward: Tensor, own: None = None) -> Tensor | None:
        """The mean of the members' base rules, as `NeuralRule.base_rule_coefficients`; mice have nothing of their own."""
        trials = x, choice, reward
        each = [m.base_rule_coefficients(*trials) for m in self.members]  # type: ignore[operator]
        return None if each[0] is None else torch.stack(each).mean(0)

    def network(self, own: None = None) -> Network:
        """The members as one wide network, by whose readout each has an equal share in the change."""
        each = [m.network() for m in self.members]  # type: ignore[operator]
        gru = None if each[0].gru is None else _one_cell([n.gru for n in each])
        columns = [list(column) for column in zip(*(n.layers for n in each), strict=True)]
        layers: list[tuple[Tensor, Tensor]] = []
        if gru is None:
            layers = [(torch.cat([w for w, _ in columns[0]]), torch.cat([b for _, b in columns[0]]))]
        inner = columns[len(layers) : -1]
        layers += [(torch.block_diag(*(w for w, _ in layer)), torch.cat([b for _, b in layer])) for layer in inner]
        share = [n.scale / len(each) for n in each]
        weight = torch.cat([s[:, None] * w for s, (w, _) in zip(share, columns[-1], strict=True)], dim=1)
        bias = torch.stack([s * b for s, (_, b) in zip(share, columns[-1], strict=True)]).sum(0)
        return Network(gru, [*layers, (weight, bias)], self.scale)

    def as_mice(self, initial_weights: np.ndarray, own: np.ndarray | None = None) -> NeuralMice:
        """This rule as an agent of the stepped driver, from initial weights (M, K).

        Raises ValueError if mice have parameters of their own, which members do not share.
        """
        if own is not None:
            raise ValueError("an ensemble has no parameters of single mice; fit members = 1, or individual = false")
        return NeuralMice(self, initial_weights)


def _one_cell(cells: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """GRU cells as one with all their units: weight_ih, weight_hh, bias_ih, bias_hh, gate by gate as in torch.nn.GRUCell."""
    gates = [[tensor.unflatten(0, (3, -1)) for tensor in cell] for cell in cells]
    weight_ih, bias_ih, bias_hh = (torch.cat([g[i] for g in gates], dim=1).flatten(0, 1) for i in (0, 2, 3))
    weight_hh = torch.cat([torch.block_diag(*(g[1][gate] for g in gates)) for gate in range(3)])
    return weight_ih, weight_hh, bias_ih, bias_hh
