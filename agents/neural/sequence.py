"""Neural rules that look back: attention in place of RNNGLM's GRU, and a GRU that predicts choices without a learning rule.

`transformer`: Liu, Geadah & Pillow 2025, arXiv 2509.04661, put a Transformer in the place of RNNGLM's GRU and found no
significant difference. `tinyrnn`: Ji-An, Benna & Mattar 2025, Nature, predict choices by a small GRU over past trials.

Limits. The weights feed back into what the transformer attends to, so its trials cannot be run in parallel: it is trained by
the reference loop.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from agents.neural.networks import DNNRule, NeuralState, Parts
from agents.neural.settings import Mirror, TinyRNNSettings, TransformerSettings


class TransformerRule(DNNRule):
    """A block of attention over the last `context` trials, this one among them, then the perceptron.

    e_t = embed(z_t);  q, k, v = linear(norm(e_t));  what is passed on is e_t + mix(attention of q_t to the k, v remembered).
    How much a trial is attended to also depends on its age, by a learned bias. The memory is the keys and the values, the
    oldest trial first, and a 1 for each trial that there was.
    """

    name: ClassVar[str] = "transformer"
    settings_type = TransformerSettings
    fused = None
    settings: TransformerSettings

    def _build_memory(self, width: int) -> int:
        s = self.settings
        self.embed = nn.Linear(width, s.hidden)
        self.norm = nn.LayerNorm(s.hidden)
        self.query_key_value = nn.Linear(s.hidden, 3 * s.hidden)
        self.mix = nn.Linear(s.hidden, s.hidden)
        self.by_age = nn.Parameter(torch.zeros(s.context, s.heads))
        return s.hidden

    @property
    def trial_units(self) -> int:
        """Units that remember one trial: key, value, and whether there was one."""
        return 2 * self.settings.hidden + 1

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.context * self.trial_units

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        e, units = self.embed(z), self.settings.hidden
        query, key_value = self.query_key_value(self.norm(e)).split([units, 2 * units], dim=-1)
        hidden = torch.cat([hidden[:, self.trial_units :], key_value, torch.ones_like(z[:, :1])], dim=-1)
        return e + self.mix(self._attend(query, hidden)), hidden

    def _attend(self, query: Tensor, memory: Tensor) -> Tensor:
        """Mean of the values remembered (M, H), weighted by how well their keys match the query."""
        heads, trials = self.settings.heads, memory.unflatten(-1, (self.settings.context, self.trial_units))
        key, value = trials[..., :-1].unflatten(-1, (2, heads, -1)).unbind(-3)  # (M, context, heads, H / heads)
        match = (key * query.unflatten(-1, (heads, -1))[:, None]).sum(-1) * key.shape[-1] ** -0.5 + self.by_age
        attention = torch.softmax(match.masked_fill(trials[..., -1:] == 0, -torch.inf), dim=1)
        return (attention[..., None] * value).sum(1).flatten(1)


class TinyRNNRule(DNNRule):
    """A GRU over past trials whose memory is read as the weights of the policy; no rule changes them.

    h_t = GRU(h_{t-1}, [x_t, choice_t, reward_t]);  w_{t+1} = w_0 + R h_t. In Ji-An et al. the memory is read as the logits of
    the choices; here as the weights of the features, so that this is an agent like the others: the stimulus acts through the
    weights, and they can be looked at. They do not feed back into the memory, which follows from the record alone. `learn`
    adds R (h_t - h_{t-1}), the same sum, so that noise of the weights, where a mouse has it, stays in them.
    """

    name: ClassVar[str] = "tinyrnn"
    settings_type = TinyRNNSettings
    fused = "reading"

    def _build(self, k: int) -> None:
        s = self.settings
        self.gru = nn.GRUCell(self.n_inputs, s.hidden)
        self.readout = nn.Linear(s.hidden, k, bias=False)
        self.scale = nn.Parameter(torch.full((k,), s.initial_scale))

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.hidden

    def learn(self, state: NeuralState, x: Tensor, choice: Tensor, reward: Tensor, p_right: Tensor) -> NeuralState:
        """State after a trial: x (M, K), choice (-1: no choice, nothing remembered) and reward (M, 1)."""
        u, mirror = self.inputs(x, choice, reward), self.mirror
        views = u[None] if mirror is None else torch.stack([u, u * u.new_tensor(mirror.inputs)])
        after = self.gru(views.flatten(0, 1), state.hidden.flatten(0, 1)).unflatten(0, state.hidden.shape[:2])
        hidden = torch.where(choice >= 0, after, state.hidden)
        before, after = (read(self.parts(), mirror, memory) for memory in (state.hidden, hidden))
        return NeuralState(state.weights + after - before, hidden)

    def parts(self) -> Parts:
        """Its network for the compiled kernels; what it reads of a memory is zero for an empty one."""
        gru = self.gru.weight_ih, self.gru.weight_hh, self.gru.bias_ih, self.gru.bias_hh
        return Parts(gru, [(self.readout.weight, torch.zeros_like(self.scale))], self.scale)


def read(parts: Parts, mirror: Mirror | None, hidden: Tensor) -> Tensor:
    """What the last layer of a network reads of a memory (views, M, H), as weights (M, K)."""
    each = parts.scale * (hidden @ parts.layers[-1][0].T)
    return each[0] if mirror is None else 0.5 * (each[0] + each.new_tensor(mirror.output) * each[1])
