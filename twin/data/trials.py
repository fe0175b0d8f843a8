"""Trials: what an experimenter would see of each mouse, padded to one array per quantity; the input of every fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from agents.features import design_matrix, feature_codes
from envs.checks import whole
from twin.data.content import hash_content
from twin.data.rollout import Rollout


@dataclass(frozen=True)
class Trials:
    """Trials of M mice, T at most each, K features."""

    x: np.ndarray  # (M, T, K) float64, 0 beyond a mouse's last trial
    choice: np.ndarray  # (M, T) int8: 0 left, 1 right, -1 no-go, no trial, or a choice whose reward is not known
    reward: np.ndarray  # (M, T) int8
    new_session: np.ndarray  # (M, T) bool
    mask: np.ndarray  # (M, T) bool: a trial with a choice
    lengths: np.ndarray  # (M,) trials of each mouse
    features: tuple[str, ...]
    ids: tuple[str, ...]

    def __repr__(self) -> str:
        """Its size and features."""
        size = f"{len(self.ids)} mice, {int(self.lengths.sum())} trials ({int(self.mask.sum())} with a choice)"
        return f"<Trials of {size}: {', '.join(self.features)}>"

    @classmethod
    def from_rollout(cls, rollout: Rollout, features: Sequence[str] | None = None) -> Trials:
        """The observable part of a rollout. Raises ValueError naming a mouse without trials."""
        features = tuple(features or rollout.features or ("stimulus", "bias"))
        lengths = np.diff(rollout.starts)
        for m in np.flatnonzero(lengths == 0):
            raise ValueError(f"mouse {rollout.ids[m]!r} has no trials; leave it out")
        reward = np.maximum(rollout.reward, 0)  # one that is not known is remembered as none; nothing is learned from it
        flat = design_matrix(feature_codes(features), rollout.contrast, rollout.choice, reward, rollout.new_session)
        shape = (len(lengths), int(lengths.max()))
        inside = np.arange(shape[1]) < lengths[:, None]

        def padded(column: np.ndarray, fill: int = 0) -> np.ndarray:
            array = np.full(shape + column.shape[1:], fill, column.dtype)
            array[inside] = column
            return array

        choice = padded(np.where(rollout.reward < 0, np.int8(-1), rollout.choice), fill=-1)
        return cls(
            padded(flat),
            choice,
            padded(reward),
            padded(rollout.new_session),
            choice >= 0,
            lengths,
            features,
            rollout.ids,
        )

    def content_hash(self) -> str:
        """SHA-256 of everything here, by which a fit is bound to the trials that it was made of."""
        return hash_content({field.name: getattr(self, field.name) for field in fields(self)})

    def split(self, future: int) -> tuple[Trials, Trials]:
        """(all but the last `future` trials of each mouse, all trials with only those last ones in the mask).

        Both keep the whole recurrence, so a model fitted on the first is scored on the second. Raises ValueError naming a
        mouse that has no more than `future` trials, or for a number of them that is not whole and positive.
        """
        whole("split: future", future, 1)
        for m in np.flatnonzero(self.lengths <= future):
            raise ValueError(f"mouse {self.ids[m]!r} has {self.lengths[m]} trials; cannot set aside the last {future} of them")
        return self._divided(np.arange(self.choice.shape[1]) >= (self.lengths - future)[:, None])

    def after_sessions(self, n: int) -> tuple[Trials, Trials]:
        """(the first `n` sessions of each mouse, all trials with only the later ones in the mask), as `split`.

        Raises ValueError naming a mouse that has no more than `n` sessions, or for a number that is not whole and positive.
        """
        whole("sessions", n, 1)
        index = np.arange(self.choice.shape[1])
        inside = index < self.lengths[:, None]
        number = np.cumsum((self.new_session | (index == 0)) & inside, axis=1)
        for m in np.flatnonzero(number.max(axis=1) <= n):
            raise ValueError(
                f"mouse {self.ids[m]!r} has {number[m].max()} sessions; none would be left after the first {n} of them: "
                f"expected fewer, or leave the mouse out"
            )
        first, later = self._divided(number > n)
        return first._pick(slice(None), slice(int(first.lengths.max())), first.lengths, self.ids), later

    def _divided(self, later: np.ndarray) -> tuple[Trials, Trials]:
        """(the trials before, all trials with only the later ones in the mask); later (M, T), to the end of each row."""
        unknown = np.where(later, -1, self.choice).astype(np.int8)
        lengths = np.minimum(self.lengths, (~later).sum(axis=1))
        train = replace(self, choice=unknown, mask=self.mask & ~later, lengths=lengths)
        return train, replace(self, mask=self.mask & later)

    def with_features(self, features: Sequence[str]) -> Trials:
        """The same with the features in this order. Raises ValueError naming those that are missing or too many."""
        if tuple(features) == self.features:
            return self
        missing, extra = [f for f in features if f not in self.features], [f for f in self.features if f not in features]
        if missing or extra or len(features) != len(self.features):
            raise ValueError(
                f"these trials have the features {list(self.features)}, expected {list(features)}: missing {missing}, "
                f"not expected {extra}; make the trials with features = {list(features)}"
            )
        return replace(self, x=self.x[..., [self.features.index(f) for f in features]], features=tuple(features))

    def first(self, n: int) -> Trials:
        """The first `n` trials of each mouse. Raises ValueError for an `n` that is not whole and positive."""
        whole("first: n", n, 1)
        return self._pick(slice(None), slice(n), np.minimum(self.lengths, n), self.ids)

    def of_mice(self, mice: Sequence[int] | np.ndarray) -> Trials:
        """The trials of some mice."""
        pick = np.asarray(mice)
        return self._pick(pick, slice(None), self.lengths[pick], tuple(self.ids[m] for m in pick))

    def _pick(self, mice: Any, trials: slice, lengths: np.ndarray, ids: tuple[str, ...]) -> Trials:
        x, choice, reward = (a[mice][:, trials] for a in (self.x, self.choice, self.reward))
        return Trials(
            x, choice, reward, self.new_session[mice][:, trials], self.mask[mice][:, trials], lengths, self.features, ids
        )
