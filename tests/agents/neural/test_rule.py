"""Neural rules: how they are unrolled, trained, kept, and put back as mice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from networks import FUSED_KINDS, neural_rule

from agents.neural.registry import NEURAL_RULES
from agents.neural.settings import NetworkSettings
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.inference.fit import fit
from twin.inference.neural.trainer import DivergedError, Trainer
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.registry import find_settings
from twin.inference.settings import TrainSettings
from twin.simulation import simulate

FEATURES = ("stimulus", "bias", "previous_choice")
FORMS = [
    *[{"mirror": m, "gradient_form": g, "base_rule": "static"} for m in (False, True) for g in (False, True)],
    *[{"probability": p, "base_rule": c} for p in (False, True) for c in ("static", "reward-max", "full-mouse")],
]


def gappy(trials: Trials) -> Trials:
    """The same trials with some choices missing."""
    choice = trials.choice.copy()
    choice[:, ::7] = -1
    return dataclasses.replace(trials, choice=choice, mask=choice >= 0)


@pytest.fixture(scope="module")
def trials():
    rollout = simulate(Cohort(mice=3, parameters={"rate": 0.1}), "constant", trials=60, seed=5)
    return gappy(Trials.from_rollout(rollout, FEATURES))


def rule(kind: str, seed: int = 1, **settings):
    """A rule whose updates are large enough to matter, also where the network would begin by adding nothing."""
    model = neural_rule(kind, FEATURES, seed, **({"hidden": 10, "initial_scale": 0.5} | settings))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.nn.init.normal_(model.readout.weight, std=0.3)
    return model


@pytest.mark.parametrize("segment", [None, 13])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("kind", FUSED_KINDS)
def test_fused_is_the_loop(kind, form, segment, trials):
    batch, model = Batch.of(trials, torch.float64), rule(kind, **form).double()
    gradients = []
    for strategy in ("loop", "fused"):
        weights = torch.full((3, 3), 0.3, dtype=torch.float64, requires_grad=True)
        logits, path = unroll(model, batch, weights, strategy=strategy, segment=segment)
        model.zero_grad()
        (logits.tanh() * torch.linspace(0, 1, logits.shape[1])).sum().backward()
        gradients.append((path.detach(), [p.grad.clone() for p in (*model.parameters(), weights) if p.numel()]))
    (path, loop), (fused_path, fused) = gradients
    assert torch.allclose(path, fused_path, atol=1e-12)
    for a, b in zip(loop, fused, strict=True):
        assert float((a - b).norm()) <= 1e-10 * float(a.norm() + 1e-3)


@pytest.mark.parametrize("form", [f for f in FORMS if f.get("mirror", True)], ids=str)
@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_mirrored_mouse_learns_mirrored(kind, form, trials):
    model = rule(kind, **form).double()
    batch = Batch.of(trials, torch.float64)
    sign = torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64)
    other = batch._replace(x=batch.x * sign, choice=torch.where(batch.choice < 0, batch.choice, 1 - batch.choice))
    logits, path = unroll(model, batch)
    mirrored_logits, mirrored_path = unroll(model, other)
    assert torch.allclose(mirrored_path, path * -sign, atol=1e-12)
    assert torch.allclose(mirrored_logits, -logits, atol=1e-12)
    assert float(path.detach().abs().max()) > 0.05


def test_training_finds_learning(small):
    _, rollout, trials = small
    static = fit(trials, "static-glm").log_likelihood(trials).sum()
    network = fit(trials, "dnnglm", epochs=60, hidden=16)
    assert network.log_likelihood(trials).sum() > static + 20
    history = network.histories[0]
    assert history.held_out[history.best] == min(history.held_out)
    assert np.corrcoef(network.weights(trials)[..., 0].ravel(), rollout.weights[:, 0])[0, 1] > 0.9


def test_same_seed_is_the_same_fit(small):
    a, b, c = (fit(small[2], "dnnglm", epochs=3, seed=s).update(0, *points()) for s in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def points(n: int = 20):
    """Single trials: weights, features, choices, rewards."""
    draw = np.random.default_rng(0)
    return draw.normal(size=(n, 2)), draw.normal(size=(n, 2)), draw.integers(0, 2, n), draw.integers(0, 2, n)


@pytest.mark.parametrize("model", [*NEURAL_RULES, "reinforce-baseline"])
def test_fit_is_kept_whole(model, small, tmp_path):
    settings = {} if model == "reinforce-baseline" else {"epochs": 2, "hidden": 8}
    trials = small[2]
    done = fit(trials, model, **settings)
    done.save(tmp_path / "fit", {"seconds": 1.0})
    back = load_fit(tmp_path / "fit")
    assert (back.log_likelihood(trials) == done.log_likelihood(trials)).all()
    assert (back.update(1, *points()) == done.update(1, *points())).all()
    assert back.ids == done.ids if hasattr(done, "ids") else True


@pytest.mark.parametrize("model", NEURAL_RULES)
def test_fitted_rule_lives_in_a_cohort(model, small, tmp_path):
    done = fit(small[2], model, epochs=3, hidden=8)
    done.save(tmp_path / "fit")
    cohort = Cohort(mice=4, rule=str(tmp_path / "fit"), parameters={"lapse_low": 0.02})
    one, again = (simulate(cohort, "ibl-documented", trials=900, seed=3) for _ in range(2))
    assert (one.choice == again.choice).all()
    assert (one.weights == again.weights).all()
    assert np.abs(np.diff(one.weights[one.of_mouse(0)], axis=0)).max() > 1e-4
    more = simulate(cohort.model_copy(update={"mice": 6}), "ibl-documented", trials=900, seed=3)
    assert (more.choice[: 4 * 900] == one.choice).mean() > 0.999  # batched matrix products may round the last bit otherwise
    with pytest.raises(ValueError, match=r"features \['bias', 'stimulus'\]: the rule .* was fitted on \['stimulus', 'bias'\]"):
        Cohort(mice=1, rule=str(tmp_path / "fit"), features=("bias", "stimulus"))
    with pytest.raises(ValueError, match="is neural"):
        simulate(cohort, trials=5, driver="fused")


def test_features_that_are_not_numbers_name_the_mouse(small):
    trials = small[2]
    x = trials.x.copy()
    x[2, 5, 0] = np.nan
    with pytest.raises(ValueError, match="mouse 'mouse-0002': its features hold NaN"):
        fit(dataclasses.replace(trials, x=x), "dnnglm")


def test_divergence_stops_with_good_parameters(small):
    model = NEURAL_RULES["dnnglm"](("stimulus", "bias"), NetworkSettings(hidden=8, base_rule="static"))
    trainer = Trainer(model, small[2], TrainSettings(epochs=5))
    steps = []

    def break_down(train: float, held_out: float) -> None:
        steps.append([p.detach().clone() for p in model.parameters()])
        if len(steps) == 2:
            with torch.no_grad():
                model.scale.fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"diverged in epoch 3 at a learning rate of 0.01; lower `learning_rate`"):
        trainer.run(break_down)
    kept = list(model.parameters())
    assert all(torch.isfinite(p).all() for p in kept)
    assert any(all((a == b).all() for a, b in zip(kept, step, strict=True)) for step in steps)


def test_initial_weights_by_every_means(small):
    _, rollout, trials = small
    true = rollout.weights[rollout.starts[:-1]].astype(float) + 0.5
    by = {
        how: fit(trials, "dnnglm", epochs=2, initial=how, initial_weights=true).initial_weights
        for how in ("zero", "known", "fitted")
    }
    first = fit(trials, "dnnglm", epochs=1, initial="first-trials").initial_weights
    assert (by["zero"] == 0).all()
    assert by["known"] == pytest.approx(true, abs=1e-6)
    assert (by["fitted"] != 0).any()
    assert first == pytest.approx(fit(trials.first(100), "static-glm").theta[:, :2], abs=1e-6)
    off = fit(trials, "dnnglm", epochs=1, initial="known", initial_error=0.5, initial_weights=true).initial_weights
    assert off == pytest.approx(true + 0.5, abs=1e-6)
    with pytest.raises(ValueError, match=r"initial_error = 0\.5 and initial = 'zero': only known weights have one"):
        fit(trials, "dnnglm", initial="zero", initial_error=0.5)
    with pytest.raises(ValueError, match="these trials come without true weights"):
        fit(trials, "dnnglm", initial="known")


def test_settings_hold_both_network_and_training():
    kind = find_settings("dnnglm")
    settings = kind()
    assert settings.passes(16) == 800
    assert settings.passes(64) == 200
    assert kind(epochs=7).passes(64) == 7
    assert settings.waits(64) == 50
    assert settings.waits(1000) == 25
    assert kind(patience=3).waits(64) == 3
