"""Trainings that were interrupted go on from their checkpoint to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twin.inference.neural.checkpoint import Checkpoint
from twin.inference.neural.fit import build
from twin.inference.neural.trainer import Trainer
from twin.inference.registry import find_settings

SETTINGS = find_settings("dnnglm")(hidden=4, layers=1, epochs=6, batch_size=2, seed=3)


class Killed(BaseException):
    """What ends a training at once."""


def trained(trials, settings, checkpoint=None, ends_after=None):
    """Everything a training leaves; it ends after so many epochs."""
    trainer = Trainer(build("dnnglm", trials.features, settings, seed=3), trials, settings, checkpoint=checkpoint)
    done = []

    def epoch_done(train, held_out):
        done.append(train)
        if len(done) == ends_after:
            raise Killed

    history = trainer.run(epoch_done)
    mice = {} if trainer.individuals is None else trainer.individuals.kept()
    return history, trainer.model.state_dict(), trainer.weights.detach(), mice, len(done)


@pytest.mark.parametrize("changes", [{}, {"individual": True, "lapses": True, "hold_out": "mice"}])
def test_interrupted_training_ends_with_the_same_bits(changes, small, tmp_path):
    trials, settings = small[2].first(120), SETTINGS.model_copy(update=changes)
    history, model, weights, mice, _ = trained(trials, settings)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "this training", every=0.0)
    with pytest.raises(Killed):
        trained(trials, settings, checkpoint, ends_after=4)
    again = trained(trials, settings, checkpoint)
    assert again[4] == 3  # the epochs that were not kept
    assert again[0] == history
    assert all(torch.equal(again[1][name], value) for name, value in model.items())
    assert torch.equal(again[2], weights)
    assert all(np.array_equal(again[3][name], value) for name, value in mice.items())


def test_checkpoint_of_another_training_or_a_damaged_one_counts_for_nothing(small, tmp_path):
    trials = small[2].first(60)
    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        trained(trials, SETTINGS, Checkpoint(path, "one", every=0.0), ends_after=2)
    assert Checkpoint(path, "one").load() is not None
    assert Checkpoint(path, "another").load() is None
    path.write_bytes(path.read_bytes()[:-100])
    assert Checkpoint(path, "one").load() is None


def test_nothing_is_kept_of_a_short_training(small, tmp_path):
    trained(small[2].first(60), SETTINGS, Checkpoint(tmp_path / "checkpoint", "short"))
    assert not list(tmp_path.iterdir())
