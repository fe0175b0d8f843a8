"""The rules that look back over trials, against torch's own layers; and which strategy runs a rule on which device."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch
from networks import FUSED_KINDS, neural_rule
from pydantic import ValidationError
from torch import Tensor, nn

from agents.neural.registry import NEURAL_RULES
from twin.inference.fit import fit
from twin.inference.neural.trainer import Trainer
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.registry import find_settings
from twin.inference.settings import TrainSettings

FEATURES = ("stimulus", "bias")
MICE, TRIALS, CONTEXT = 3, 40, 6


def random_batch(seed: int = 0, gaps: bool = True) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(MICE, TRIALS, 2, dtype=torch.float64, generator=draw)
    choice, reward = (torch.randint(low, 2, (MICE, TRIALS, 1), generator=draw).double() for low in (-gaps, 0))
    return Batch(x, choice, reward)


def transformer(**settings):
    rule = neural_rule(
        "transformer", FEATURES, **({"hidden": 8, "context": CONTEXT, "base_rule": "static"} | settings)
    ).double()
    nn.init.normal_(rule.by_age)
    return rule


def attended(rule, z: Tensor) -> Tensor:
    """What the block passes on for the inputs (T, Z) of one mouse's trials with a choice, by torch's attention over all."""
    e, heads = rule.embed(z), rule.settings.heads
    query, key, value = (
        a.unflatten(-1, (heads, -1)).transpose(0, 1) for a in rule.query_key_value(rule.norm(e)).chunk(3, dim=-1)
    )
    age = torch.arange(len(z))[:, None] - torch.arange(len(z))
    seen = (age >= 0) & (age < CONTEXT)
    by_age = rule.by_age.flip(0)[age.clamp(0, CONTEXT - 1)].movedim(-1, 0)
    bias = torch.where(seen, by_age, -torch.inf)
    out = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return e + rule.mix(out.transpose(0, 1).flatten(1))


def test_transformer_is_windowed_attention():
    """The path's increments, from the path itself, by full attention matrices."""
    rule, batch = transformer(mirror=False), random_batch()
    with torch.no_grad():
        logits, path = unroll(rule, batch)
        for m in range(MICE):
            chose = (batch.choice[m, :-1, 0] >= 0).nonzero()[:, 0]
            x, choice, reward = (a[m, chose] for a in (batch.x, batch.choice, batch.reward))
            p = torch.sigmoid(logits[m, chose])[:, None]
            a = attended(rule, torch.cat([path[m, chose], x, 2 * choice - 1, 2 * reward - 1, 2 * p - 1], dim=-1))
            for layer in rule.hidden_layers:
                a = torch.tanh(layer(a))
            expected = rule.scale * rule.readout(a) * x
            torch.testing.assert_close(path[m, chose + 1] - path[m, chose], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_no_path_sees_the_future(kind):
    rule, batch, other = neural_rule(kind, FEATURES, hidden=8, base_rule="static").double(), random_batch(1), random_batch(2)
    mixed = Batch(*(torch.cat([a[:, :25], b[:, 25:]], dim=1) for a, b in zip(batch[:3], other[:3], strict=True)))
    path, again = (unroll(rule, b)[1] for b in (batch, mixed))
    assert torch.equal(path[:, :26], again[:, :26])
    assert (path[:, 27:] != again[:, 27:]).any()


def test_transformer_forgets_what_is_older_than_its_context():
    rule, trials = transformer(), [t.unbind(1) for t in random_batch(gaps=False)[:3]]
    w, outcomes = torch.zeros(MICE, 2, dtype=torch.float64), []
    for other in (False, True):
        state, reward, kept = rule.init(MICE), list(trials[2]), []
        reward[4] = 1.0 - reward[4] if other else reward[4]
        for x, choice, r in zip(*trials[:2], reward, strict=True):
            state = rule.learn(
                state._replace(weights=w), x, choice, r, torch.full((MICE, 1), 0.5, dtype=w.dtype)
            )  # weights that remember nothing
            kept.append(state.weights)
        outcomes.append(kept)
    differs = [not torch.equal(a, b) for a, b in zip(*outcomes, strict=True)]
    assert differs == [4 <= t < 4 + CONTEXT for t in range(TRIALS)]


def test_empty_memory_has_finite_gradients():
    rule, batch = transformer(), random_batch()
    weights = torch.zeros(MICE, 2, dtype=torch.float64, requires_grad=True)
    unroll(rule, batch.of_trials(slice(0, 2)), weights)[0].sum().backward()
    gradients = [p.grad for p in (weights, *rule.parameters()) if p.numel()]
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("strategy", ["loop", "fused"])
@pytest.mark.parametrize("mirror", [False, True])
def test_tinyrnn_is_a_read_gru(mirror, strategy):
    """One mouse at a time, by torch's GRU over its trials with a choice."""
    rule, batch = neural_rule("tinyrnn", FEATURES, hidden=5, mirror=mirror).double(), random_batch()
    gru = nn.GRU(4, 5).double()
    gru.load_state_dict({f"{name}_l0": value for name, value in rule.gru.state_dict().items()})
    initial = torch.tensor([0.3, -0.2], dtype=torch.float64)
    views = [([1, 1, 1, 1], [1, 1]), *([([-1, 1, -1, 1], [1, -1])] if mirror else [])]
    with torch.no_grad():
        _, path = unroll(rule, batch, initial.expand(MICE, 2), strategy=strategy)
        for x, choice, reward, weights in zip(*batch[:3], path, strict=True):
            chose = choice[:, 0] >= 0
            u = torch.cat([x, 2 * choice - 1, 2 * reward - 1], dim=-1)[chose]
            read = [gru(u * torch.tensor(seen))[0] @ rule.readout.weight.T * torch.tensor(signs) for seen, signs in views]
            after = torch.cat([initial[None], initial + rule.scale * torch.stack(read).mean(0)])
            before = chose.cumsum(0) - chose.long()
            torch.testing.assert_close(weights, after[before], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "trials", "settings"),
    [("tinyrnn", 600, {"epochs": 60}), ("transformer", 300, {"epochs": 15, "hidden": 8, "context": 8})],
)
def test_training_finds_learning(model, trials, settings, small):
    first = small[2].first(trials)
    static = fit(first, "static-glm").log_likelihood(first).sum()
    assert fit(first, model, **settings).log_likelihood(first).sum() > static + 20


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_auto_is_fused_where_it_can_be(kind):
    rule, batch = neural_rule(kind, FEATURES, hidden=8, base_rule="static").double(), random_batch()
    auto = unroll(rule, batch, strategy="auto")[1]
    assert torch.equal(auto, unroll(rule, batch, strategy="fused" if kind in FUSED_KINDS else "loop")[1])


def test_a_transformer_has_no_fused_path(small):
    with pytest.raises(ValueError, match="TransformerRule has only the loop; use 'auto' or 'loop'"):
        unroll(transformer(), random_batch(), strategy="fused")
    with pytest.raises(ValueError, match="TransformerRule has only the loop"):
        Trainer(transformer(), small[2], TrainSettings(strategy="fused"))
    with pytest.raises(ValueError, match="no compiled kernels run a transformer; use 'auto' or 'loop'"):
        find_settings("transformer")(strategy="fused")


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_one_device_is_not_mixed_with_another(kind):
    """On torch's meta device, which computes nothing and refuses tensors of another device."""
    away = torch.device("meta")
    rule, batch = neural_rule(kind, FEATURES, hidden=8).double().to(away), random_batch().to(away)
    for segment in (None, 7):
        logits, path = unroll(rule, batch._replace(gain=batch.x, moderated_x=batch.x), strategy="auto", segment=segment)
        assert logits.device == path.device == away
        assert path.shape == (MICE, TRIALS, 2)
    with pytest.raises(RuntimeError, match="device"):
        unroll(rule, batch, torch.zeros(MICE, 2, dtype=torch.float64), strategy="loop")


@pytest.mark.parametrize("kind", FUSED_KINDS)
def test_kernels_run_on_the_cpu_alone(kind):
    away = torch.device("meta")
    with pytest.raises(ValueError, match="compiled kernels run on the CPU, not on meta; use 'auto' or 'loop'"):
        unroll(neural_rule(kind, FEATURES).to(away), random_batch().to(away), strategy="fused")


def test_a_device_that_is_not_there_is_refused(small):
    for device in ("abacus", "cuda:99"):
        with pytest.raises(ValueError, match=f"device = '{device}' cannot be used: "):
            fit(small[2], "dnnglm", device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: training there is training on the CPU")
@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_training_on_a_gpu_is_that_on_the_cpu(kind, small):
    """To rounding in the likelihoods; and model and initial weights are on the CPU again."""
    trials = small[2].first(200)
    near, far = (fit(trials, kind, epochs=2, hidden=8, device=device) for device in ("cpu", "cuda"))
    assert far.log_likelihood(trials) == pytest.approx(near.log_likelihood(trials), abs=1e-3)
    assert all(p.device.type == "cpu" for p in far.rule.parameters())


@pytest.mark.parametrize(
    ("model", "setting"),
    [("tinyrnn", "layers"), ("tinyrnn", "gradient_form"), ("dnnglm", "context"), ("rnnglm", "heads"), ("tinyrnn", "heads")],
)
def test_settings_of_other_models_are_refused(model, setting):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        find_settings(model)(**{setting: 2})


def test_heads_share_the_hidden_units():
    with pytest.raises(ValueError, match="hidden = 10 units cannot be shared among heads = 4"):
        find_settings("transformer")(hidden=10, heads=4)


def test_memory_widths():
    """Memories (views, M, units), their units by hand: key, value and validity of five trials; the GRU's."""
    widths = [neural_rule(kind, FEATURES, hidden=8, context=5).init(2).hidden.shape for kind in ("transformer", "tinyrnn")]
    assert widths == [(2, 2, 5 * 17), (2, 2, 8)]


def test_names_are_those_of_the_classes_and_need_no_torch():
    assert all(kind.name == name for name, kind in NEURAL_RULES.items())
    code = "import sys; from twin.inference.registry import find_settings, models; find_settings('full-mouse')\n"
    code += "import twin.cohort; assert 'dnnglm-history' in models() and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("model", NEURAL_RULES)
def test_settings_put_together_can_be_sent_to_another_process(model):
    settings = find_settings(model)(hidden=6, epochs=3)
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert again.model_fields_set == {"hidden", "epochs"}
