"""Rollout: all that happened, as flat trial columns with every mouse's trials in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.names import shown

if TYPE_CHECKING:
    from twin.data.store.stored import StoredRollout

# name: (dtype, what it holds); the same in memory and in HDF5. Real data has the first six.
COLUMNS: dict[str, tuple[str, str]] = {
    "session": ("int32", "session of the mouse, from 0"),
    "contrast": ("float32", "signed contrast, -1 to 1, positive = right"),
    "side": ("int8", "rewarded side, +1 right, -1 left, also at zero contrast; 0 where a table does not tell it"),
    "choice": ("int8", "0 left, 1 right, -1 no-go"),
    "reward": ("int8", "1 if rewarded; -1 where a table does not tell it"),
    "probability_left": ("float32", "P(left) as the rig stores it; NaN where a table does not tell it"),
    "is_repeat": ("bool", "is this a repeat after an error (debiasing)?"),
    "stage": ("int8", "stage of the protocol"),
    "p_right": ("float32", "probability of a right choice, lapses included"),
    "water_ul": ("float32", "water delivered, microlitres"),
    "response_time": ("float32", "seconds from stimulus onset to the choice; the response window for a no-go"),
    "start_time": ("float32", "start of the trial, seconds since that of the session"),
}
# What may be known of each session beside its trials; the same in memory and in HDF5.
SESSION_COLUMNS: dict[str, tuple[str, str]] = {
    "protocol": ("int8", "protocol of the session: 0 `protocol` of the origin, n the n-th of its `then`"),
    "status": ("int8", "IBL training status at the end of the session (twin.evaluation.status.Status)"),
    "date": ("int32", "date of a recorded session, as 20210331; 0 where none is told"),
    "clock_s": ("float32", "when a recorded session began, seconds after midnight of its date; NaN where none is told"),
    "task": ("int8", "task of a recorded session, in the order of TASKS; -1 where none is told"),
    "weight_g": ("float32", "weight of the mouse, grams; NaN where none is told"),
}
TASKS = ("trainingChoiceWorld", "biasedChoiceWorld", "ephysChoiceWorld", "habituationChoiceWorld")
REQUIRED = tuple(COLUMNS)[:6]


class Sessions(NamedTuple):
    """Sessions as offsets into the trial columns, (S,) each."""

    mouse: np.ndarray
    session: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class Stream(NamedTuple):
    """A column block by block, so that all of it need never be in memory."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[np.ndarray]]  # in order, from the first row each time it is called


class OfMice:
    """What trials in memory and trials on disk have in common."""

    ids: tuple[str, ...]
    starts: np.ndarray
    origin: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def n_mice(self) -> int:
        """Number of mice."""
        return len(self.ids)

    @property
    def simulated(self) -> bool:
        """Were these mice simulated, here or by whoever wrote the file that they are from?"""
        return "cohort" in self.origin or bool(self.origin.get("simulated", False))

    @property
    def notes(self) -> list[str]:
        """What was made of the file that this was read from, beyond what it says: a sentence each."""
        return list(self.origin.get("notes", ()))


@dataclass(frozen=True)
class Rollout(OfMice):
    """Trials of M mice, N in all, concatenated mouse by mouse.

    `weights[t]` produced `choice[t]`; the update from trial t appears in `weights[t + 1]`.
    """

    columns: Mapping[str, np.ndarray]  # each (N,), see COLUMNS
    starts: np.ndarray  # (M + 1,) first trial of each mouse, and N
    ids: tuple[str, ...]
    weights: np.ndarray | None = None  # (N, K) float32, simulated mice only
    features: tuple[str, ...] = ()
    keys: np.ndarray | None = None  # (M,) uint64
    theta: np.ndarray | None = None  # (M, P)
    theta_names: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)  # seed, protocol, cohort, source ...
    of_session: Mapping[str, np.ndarray] = field(default_factory=dict)  # each (S,), see SESSION_COLUMNS

    def __getattr__(self, name: str) -> np.ndarray:
        """A column by its name."""
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(
                f"this rollout has no {name!r}; its columns are {', '.join(self.__dict__.get('columns', ()))}"
            ) from None

    def __dir__(self) -> list[str]:
        """Its own names and those of its columns."""
        return sorted({*super().__dir__(), *self.columns})

    def __repr__(self) -> str:
        """Its size and the names of its columns."""
        size = f"{self.n_mice} mice, {len(self.sessions.start)} sessions, {len(self)} trials"
        return f"<Rollout of {size}: {', '.join(self.columns)}>"

    @classmethod
    def open(cls, path: str | Path) -> StoredRollout:
        """What is on disk, an HDF5 file or a folder of shards, of which trials are read when they are asked for."""
        from twin.data.store.stored import StoredRollout

        return StoredRollout.open(path)

    @classmethod
    def concatenate(cls, parts: Sequence[Rollout]) -> Rollout:
        """The mice of all parts, one after the other.

        Raises ValueError unless the parts are of one kind: columns, features, parameters and origin alike, every mouse once.
        """
        from twin.data.joining import concatenate

        return concatenate(parts)

    @cached_property
    def mouse(self) -> np.ndarray:
        """Mouse of each trial, (N,)."""
        return np.repeat(np.arange(self.n_mice), np.diff(self.starts))

    @cached_property
    def new_session(self) -> np.ndarray:
        """Is this trial the first of its session? (N,)"""
        first = np.ones(len(self), bool)
        first[1:] = self.session[1:] != self.session[:-1]
        first[self.starts[:-1][np.diff(self.starts) > 0]] = True
        return first

    @cached_property
    def sessions(self) -> Sessions:
        """Every session of every mouse."""
        start = np.flatnonzero(self.new_session)
        mouse = np.searchsorted(self.starts, start, side="right") - 1
        return Sessions(mouse, self.session[start], start, np.append(start[1:], len(self)))

    def session_totals(self) -> dict[str, np.ndarray]:
        """Water (microlitres) and duration (s, from the session's start to the last response) of each session, (S,) each.

        Only those that the columns tell; the quiescence before the last stimulus, half a second, is not among them.
        """
        totals, last = {}, self.sessions.stop - 1
        if "water_ul" in self.columns and len(last):
            totals["water_ul"] = np.add.reduceat(self.columns["water_ul"].astype(float), self.sessions.start)
        if "start_time" in self.columns and "response_time" in self.columns:
            totals["duration_s"] = self.columns["start_time"][last].astype(float) + self.columns["response_time"][last]
        return totals

    def choices_by_mouse(self) -> np.ndarray:
        """How many choices of each mouse count in a fit, (M,): those whose reward is known."""
        counted = (self.choice >= 0) & (self.reward >= 0)
        return np.array([np.count_nonzero(counted[self.of_mouse(m)]) for m in range(self.n_mice)])

    def silent(self) -> list[str]:
        """A sentence on each mouse without a choice that counts in a fit."""
        lengths, none = np.diff(self.starts), np.flatnonzero(self.choices_by_mouse() == 0)
        what = "or none whose reward is known; it is left out of the fits"
        return [f"mouse {shown(self.ids[m])} made no choice in {lengths[m]} trials, {what}" for m in none]

    def select(self, mice: Sequence[int] | np.ndarray) -> Rollout:
        """The trials of some mice, by number, in that order."""
        pick = [int(m) for m in mice]
        rows = np.concatenate([np.arange(self.starts[m], self.starts[m + 1]) for m in pick])
        sessions = np.concatenate([np.flatnonzero(self.sessions.mouse == m) for m in pick])
        return replace(
            self,
            columns={name: column[rows] for name, column in self.columns.items()},
            starts=np.append(0, np.cumsum(np.diff(self.starts)[pick])),
            ids=tuple(self.ids[m] for m in pick),
            weights=None if self.weights is None else self.weights[rows],
            keys=None if self.keys is None else self.keys[pick],
            theta=None if self.theta is None else self.theta[pick],
            of_session={name: column[sessions] for name, column in self.of_session.items()},
        )

    def of_sessions(self, numbers: np.ndarray) -> Rollout:
        """The trials of some of `sessions`, by their numbers there, ascending; a mouse may be left without any."""
        sessions = self.sessions
        rows = np.concatenate([np.arange(0), *(np.arange(sessions.start[s], sessions.stop[s]) for s in numbers)])
        kept = np.zeros(len(self) + 1, np.int64)
        kept[rows + 1] = 1
        return replace(
            self,
            columns={name: column[rows] for name, column in self.columns.items()},
            starts=np.cumsum(kept)[self.starts],
            weights=None if self.weights is None else self.weights[rows],
            of_session={name: column[numbers] for name, column in self.of_session.items()},
        )

    def without_weights(self) -> Rollout:
        """The same, smaller."""
        return replace(self, weights=None, features=())

    def each_mouse(self) -> Iterator[Rollout]:
        """The trials of one mouse after the other."""
        return (self.select([m]) for m in range(self.n_mice))

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[Rollout]:
        """All of it in one part, as `StoredRollout.parts` gives many."""
        return iter([self])

    def read(self, columns: Sequence[str] | None = None) -> Rollout:
        """Itself, which is in memory already, as `StoredRollout.read` gives what is on disk."""
        return self

    def stream(self, name: str) -> Stream:
        """A column, or `weights`, in one block."""
        values = self.weights if name == "weights" else self.columns[name]
        assert values is not None
        return Stream(values.dtype, values.shape, lambda: iter([values]))

    def of_mouse(self, m: int) -> slice:
        """Where the trials of mouse m are."""
        return slice(int(self.starts[m]), int(self.starts[m + 1]))
