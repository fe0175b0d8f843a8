"""A rollout on disk, one file or a folder of shards, of which no more is in memory than is asked for.

    rollout = Rollout.open("runs/large/rollouts")
    for part in rollout.parts(["choice", "reward"]): ...      # some mice at a time, with these columns
    for mouse in rollout.each_mouse(): ...
    few = rollout.select([0, 10, 99])                          # a Rollout in memory

Mice, sessions and what is known of them are read when it is opened; trials when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from twin.data.joining import (
    check_alike,
    concatenate,
    joined,
    joined_ids,
    joined_origin,
    joined_sessions,
    joined_starts,
)
from twin.data.rollout import COLUMNS, OfMice, Rollout, Sessions, Stream
from twin.data.store.manifest import read_manifest, shard_path
from twin.data.store.reading import Outline, read_outline, read_rollout
from twin.data.store.schema import CHUNK_ROWS

TRIALS_AT_ONCE = 1_000_000  # read into memory together, unless a mouse has more


class _File(NamedTuple):
    path: Path
    outline: Outline
    first: int  # number of its first mouse among all


class StoredRollout(OfMice):
    """Trials of M mice in files, of one kind, mouse by mouse."""

    def __init__(self, path: Path, files: Sequence[tuple[Path, Outline]]) -> None:
        outlines = [outline for _, outline in files]
        for _, outline in files[1:]:
            check_alike(outlines[0], outline)
        counts = [len(outline.ids) for outline in outlines]
        firsts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self.path = path
        self.files = [_File(*file, first) for file, first in zip(files, firsts, strict=False)]
        self.ids = joined_ids(outline.ids for outline in outlines)
        self.starts = joined_starts([outline.starts for outline in outlines])
        trials = [int(outline.starts[-1]) for outline in outlines]
        self.sessions: Sessions = joined_sessions([outline.sessions for outline in outlines], counts, trials)
        self.of_session = {
            name: np.concatenate([outline.of_session[name] for outline in outlines]) for name in outlines[0].of_session
        }
        self.keys, self.theta = joined([o.keys for o in outlines]), joined([o.theta for o in outlines])
        self.theta_names, self.features = outlines[0].theta_names, outlines[0].features
        self.columns = tuple(name for name in COLUMNS if name in outlines[0].columns)
        self.origin: dict[str, Any] = joined_origin([outline.origin for outline in outlines])

    @classmethod
    def open(cls, path: str | Path) -> StoredRollout:
        """What is on disk. Raises FileNotFoundError, or ValueError or OSError naming the file that cannot be used and why."""
        path = Path(path)
        if not path.is_dir():
            return cls(path, [(path, read_outline(path))])
        files = []
        for shard in read_manifest(path).shards:
            outline = read_outline(file := shard_path(path, shard))
            if outline.content_hash != shard.content_hash:
                raise ValueError(f"{file}: not the shard that was written here (its hash differs from the manifest's)")
            files.append((file, outline))
        try:
            return cls(path, files)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def merged(cls, several: Sequence[StoredRollout]) -> StoredRollout:
        """The mice of all, in order. Raises ValueError unless they are of one kind, every mouse once."""
        files = [(file.path, file.outline) for stored in several for file in stored.files]
        return cls(several[0].path, files)

    def __repr__(self) -> str:
        """Its size and the names of its columns."""
        size = f"{self.n_mice} mice, {len(self.sessions.start)} sessions, {len(self)} trials in {len(self.files)} files"
        return f"<StoredRollout of {size}: {', '.join(self.columns)}>"

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[Rollout]:
        """Mice some at a time, with all columns or those named (and `session`): TRIALS_AT_ONCE trials, or one mouse."""
        for file in self.files:
            for mice in _in_parts(file.outline.starts):
                yield read_rollout(file.path, mice, columns)

    def each_mouse(self, columns: Sequence[str] | None = None) -> Iterator[Rollout]:
        """The trials of one mouse after the other."""
        return (mouse for part in self.parts(columns) for mouse in part.each_mouse())

    def select(self, mice: Sequence[int] | np.ndarray, columns: Sequence[str] | None = None) -> Rollout:
        """The trials of some mice, by number, in that order, in memory."""
        return concatenate([self._mouse(int(m), columns) for m in mice])

    def _mouse(self, m: int, columns: Sequence[str] | None) -> Rollout:
        if not 0 <= m < self.n_mice:
            raise ValueError(f"{self.path}: mouse number {m}; expected 0 to {self.n_mice - 1}")
        file = next(file for file in reversed(self.files) if file.first <= m)
        return read_rollout(file.path, range(m - file.first, m - file.first + 1), columns)

    def read(self, columns: Sequence[str] | None = None) -> Rollout:
        """All of it, with all columns or those named, in memory. Raises ValueError if that has no room."""
        return concatenate(list(self.parts(columns)))

    def stream(self, name: str) -> Stream:
        """A column, or `weights`, block by block as the store writes it."""
        first = next(self.parts([name])).stream(name)
        return Stream(first.dtype, (len(self), *first.shape[1:]), lambda: _in_chunks(self._blocks(name)))

    def _blocks(self, name: str) -> Iterator[np.ndarray]:
        return (block for part in self.parts([name]) for block in part.stream(name).blocks())

    def session_totals(self) -> dict[str, np.ndarray]:
        """`Rollout.session_totals` of all sessions."""
        totals = [part.session_totals() for part in self.parts(["water_ul", "start_time", "response_time"])]
        return {name: np.concatenate([part[name] for part in totals]) for name in totals[0]}


def _in_parts(starts: np.ndarray) -> Iterator[range]:
    """Mice of a file in rows of TRIALS_AT_ONCE trials, or of one mouse."""
    first = 0
    while first < len(starts) - 1:
        stop = int(np.searchsorted(starts, starts[first] + TRIALS_AT_ONCE, side="right")) - 1
        stop = max(first + 1, stop)
        yield range(first, stop)
        first = stop


def _in_chunks(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in blocks of CHUNK_ROWS, the last of those that are left."""
    kept: list[np.ndarray] = []
    for block in blocks:
        kept.append(block)
        while (rows := sum(map(len, kept))) >= CHUNK_ROWS:
            whole = kept[0] if len(kept) == 1 else np.concatenate(kept)
            yield whole[:CHUNK_ROWS]
            kept = [whole[CHUNK_ROWS:]] if rows > CHUNK_ROWS else []
    if kept:
        yield np.concatenate(kept)
