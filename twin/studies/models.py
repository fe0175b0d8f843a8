"""Models fitted in a run folder: each fit is kept, and made again when its trials or what was asked of it have changed."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import FiniteFloat, ValidationError

from envs.table import Table, explain
from twin.data.files import replace_file, said_of
from twin.data.store import versions
from twin.data.trials import Trials
from twin.studies.folder import RunFolder
from twin.studies.study import Options
from twin.studies.table import Inference

if TYPE_CHECKING:
    from twin.inference.fit import Fit  # torch is loaded once there is something to fit

FAILURES = (ArithmeticError, np.linalg.LinAlgError)  # of one model's arithmetic; the others go on


class _Kept(NamedTuple):
    """How fits are made and kept in a run folder, each bound to the trials and to what was asked."""

    inference: Inference
    trials: Trials
    data_hash: str
    first_weights: np.ndarray | None  # (M, K), which only simulated mice tell
    progress: bool
    folder: Path  # of the run

    def make(self, name: str) -> tuple[Fit, float]:
        """Fit the model of this name; with the seconds that took."""
        from twin.inference.fit import fit

        started = time.perf_counter()
        settings = self.inference.settings(name)
        model = self.inference.model(name)
        how: dict[str, Any] = {"progress": self.progress, "checkpoints": self.folder / "fits" / name}
        done = fit(self.trials, model, initial_weights=self.first_weights, **how, **settings)
        return done, time.perf_counter() - started

    def read(self, name: str, card: Path) -> tuple[Fit, float]:
        """The fit of a folder. Raises ValueError if it is of other data or settings."""
        from twin.inference.card import load_fit, read_card

        kept = read_card(card.parent)
        if kept.data_hash != self.data_hash:
            raise ValueError("it is of other data")
        if kept.asked != self.inference.asked(name):
            raise ValueError("it is of another model or other settings")
        return load_fit(card.parent), kept.seconds or 0.0

    def write(self, name: str, done: tuple[Fit, float], card: Path) -> None:
        """Keep a fit in its folder."""
        about = {"seconds": done[1], "trials": int(self.trials.mask.sum()), "versions": versions()}
        done[0].save(card.parent, about | {"asked": self.inference.asked(name)})
        for checkpoint in card.parent.glob("checkpoint-*"):
            checkpoint.unlink(missing_ok=True)


def fit_models(
    inference: Inference, trials: Trials, folder: RunFolder, options: Options, known: np.ndarray | None = None
) -> tuple[dict[str, tuple[Fit, float]], list[str]]:
    """Every model's fit and the seconds it took, from the folder or fitted to the trials; a note for each that failed,
    and for mice without nights where their noise was asked for.

    `known` are the mice's first weights (M, K), which only simulated mice tell. Raises ValueError if no mouse makes a choice.
    """
    if not trials.mask.any():
        raise ValueError(
            f"none of {len(trials.ids)} mice makes a choice in {int(trials.lengths.sum())} trials; models are fitted to choices"
        )
    keep = _Kept(inference, trials, trials.content_hash(), known, options.progress, folder.path)
    fits, notes = {}, []
    for name in inference.models:
        card = f"fits/{name}/card.json"
        try:
            fits[name] = folder.keep(card, partial(keep.make, name), partial(keep.read, name), partial(keep.write, name))
        except FAILURES as error:
            notes.append(f"{name}: could not be fitted ({error})")
            continue
        if fits[name][0].settings.get("noise"):
            notes += [f"{name}: {note}" for note in _without_nights(trials)]
    return fits, notes


def _without_nights(trials: Trials) -> list[str]:
    """What is fitted of the noise of nights where mice have none: mice of one session."""
    some = [mouse for mouse, begins in zip(trials.ids, trials.new_session[:, 1:], strict=True) if not begins.any()]
    if len(some) == len(trials.ids):
        return ["every mouse has one session, so noise of nights is not fitted"]
    return [f"mouse {mouse!r} has one session, so its noise of nights is as of any mouse" for mouse in some]


class _Scores(Table):
    """What a file of scores holds."""

    data_hash: str
    asked: dict[str, Any]
    scores: dict[str, FiniteFloat]


class KeptScores(NamedTuple):
    """Scores in a file, bound to the content of the trials that were scored, and to what was asked."""

    data_hash: str
    asked: dict[str, Any]

    def read(self, path: Path) -> dict[str, float]:
        """The scores of a file. Raises ValueError if they are of other data or settings."""
        with said_of(path):
            content = path.read_bytes()
        try:
            kept = _Scores.model_validate_json(content)
        except ValidationError as error:
            raise ValueError(f"{path}: {explain(_Scores, error)}") from None
        if kept.data_hash != self.data_hash:
            raise ValueError("it is of other data")
        if kept.asked != self.asked:
            raise ValueError("it is of another model or other settings")
        return kept.scores

    def write(self, scores: dict[str, float], path: Path) -> None:
        """Put scores into a file, in one step."""
        replace_file(path, json.dumps(self._asdict() | {"scores": scores}).encode())
