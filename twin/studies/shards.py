"""Trials of a cohort too large for memory: simulated and kept some mice at a time.

A shard is some mice in a row, as many as have about TRIALS_PER_SHARD trials, whatever machine and engine simulate them. Each
is written whole when it is done, so that a run that ends in any way goes on with the next; the manifest is written when all
are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from twin.data.files import check_disk
from twin.data.rollout import Rollout
from twin.data.store import StoredRollout, write_rollout
from twin.data.store.manifest import MANIFEST, shard_name, write_manifest
from twin.data.store.reading import Outline, read_outline
from twin.data.store.writing import file_size
from twin.engine import job_pool
from twin.studies.folder import RunFolder
from twin.studies.lock import Part
from twin.studies.study import Options

TRIALS_PER_SHARD = 1_000_000
SHARDS = "rollouts"  # the folder of them

Simulate = Callable[[range], Rollout]  # the trials of some mice


class UnfinishedError(RuntimeError):
    """Some shards could not be made; the message says which and why."""


class Shards(NamedTuple):
    """The shards of a cohort in a run folder, of which some may be there; what they are made of can be pickled."""

    folder: RunFolder
    mice: Sequence[range]
    trials: int  # of a mouse, as expected
    features: int  # whose weights are kept
    simulate: Simulate
    check: Callable[[Outline], None]  # raises ValueError for a file of other mice than are asked for

    @property
    def path(self) -> Path:
        """The folder of the shards."""
        return self.folder.path / SHARDS

    def missing(self, part: Part | None = None) -> list[range]:
        """Mice, of a part of the run or of all, whose shard is not there or is not what it should be."""
        each = self.mice if part is None else self.mice[part.number :: part.of]
        return [mice for mice in each if not self._is_there(mice)]

    def make(self, options: Options, part: Part | None = None) -> None:
        """Simulate what is missing.

        Raises UnfinishedError naming mice whose simulation failed, once all others are done, and OSError at once where the
        disk is full or a worker vanished.
        """
        missing = self.missing(part)
        if not missing:
            return
        self.check_room(sum(len(mice) for mice in missing))
        job = partial(_write_shard, self.simulate, self.path, self.folder.scenario)
        failed = []
        with (
            job_pool(options.engine, options.workers, len(missing)) as pool,
            tqdm(total=len(missing), unit="shard", desc="simulate", disable=None if options.progress else True) as bar,
        ):
            for mice, error in zip(missing, pool.each(job, missing), strict=True):
                bar.update()
                if error is not None:
                    failed.append(f"mice {mice.start} to {mice.stop - 1}: {error}")
                    self.folder.log(f"{SHARDS}/{shard_name(mice)}: failed: {error}")
        self.folder.log(f"{SHARDS}: {len(missing) - len(failed)} of {len(self.mice)} shards made")
        if failed:
            raise UnfinishedError(
                f"{self.path}: {len(failed)} of {len(self.mice)} shards could not be simulated ({'; '.join(failed[:3])}); the "
                f"others are kept, the same command again tries these"
            )

    def check_room(self, mice: int) -> None:
        """Raise DiskFull if the disk has no room for so many mice, as many trials each as is expected of them."""
        check_disk(self.path, file_size(mice * self.trials, self.features), f"{mice} mice of {self.trials} trials")

    def open(self) -> StoredRollout:
        """All shards, which are there, once their manifest is written. Raises ValueError or OSError naming one that is not."""
        names = [shard_name(mice) for mice in self.mice]
        outlines = [read_outline(self.path / name) for name in names]
        write_manifest(self.path, names, outlines)
        return StoredRollout(self.path, [(self.path / name, outline) for name, outline in zip(names, outlines, strict=True)])

    def _is_there(self, mice: range) -> bool:
        path = self.path / shard_name(mice)
        if not path.is_file():
            return False
        try:
            outline = read_outline(path)
            self.check(outline)
            if len(outline.ids) != len(mice):
                raise ValueError(f"it holds {len(outline.ids)} mice instead of {len(mice)}")
        except ValueError as error:
            self.folder.log(f"{SHARDS}/{path.name}: made again: {error}")
            (self.path / MANIFEST).unlink(missing_ok=True)
            return False
        return True


def shards_of(mice: int, trials: int, per_shard: int | None = None) -> list[range]:
    """The mice of each shard, of a cohort whose mice have so many trials at most."""
    size = per_shard or max(1, TRIALS_PER_SHARD // trials)
    return [range(first, min(first + size, mice)) for first in range(0, mice, size)]


def _write_shard(simulate: Simulate, folder: Path, scenario: str, mice: range) -> str | None:
    """Simulate and keep some mice; what went wrong, if it did, unless all other shards would fail too."""
    try:
        rollout = simulate(mice)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    write_rollout(rollout, folder / shard_name(mice), scenario)
    return None
