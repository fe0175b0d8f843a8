"""Writing HDF5 rollouts; a full disk, which HDF5 does not survive, is said in one sentence and leaves nothing."""

from __future__ import annotations

import importlib.metadata
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from twin.data.content import content_hash
from twin.data.files import written_whole
from twin.data.rollout import COLUMNS, SESSION_COLUMNS, Rollout, Stream
from twin.data.store import schema

if TYPE_CHECKING:
    from twin.data.store.stored import StoredRollout

# Columns of which gzip leaves .6 and more, and takes most of the time that writing does.
NOISE = ("p_right", "response_time", "start_time", "weights")
BYTES_PER_TRIAL = 15  # on disk, without weights: measured of mice under ibl-documented
LAYOUT = ("v108", "v108")  # of HDF5: the earliest whose headers have checksums


def versions() -> dict[str, str]:
    """Versions of this distribution and of what it computes with."""
    return {
        name: importlib.metadata.version(name) for name in ("behavioral-twin", "numpy", "numba", "torch", "h5py", "gymnasium")
    }


class _Sink(io.FileIO):
    """The file that HDF5 writes to. HDF5 does not survive an error while it writes, so the first is kept, and raised by us."""

    failed: OSError | None = None
    written = 0  # end of what there would be with room enough

    def write(self, data: Any) -> int:
        """Write all of the data, or keep the error."""
        rest = memoryview(data).cast("B")
        size, self.written = len(rest), max(self.written, self.tell() + len(rest))
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failed = self.failed or error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Change the size, or keep the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return size or 0

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.failed:
            raise self.failed


def write_rollout(rollout: Rollout | StoredRollout, path: str | Path, scenario: str = "") -> None:
    """Write a rollout; a file already there is replaced only once the new one is whole. Raises OSError naming the file."""
    size = file_size(len(rollout), len(rollout.features))
    with written_whole(path, size) as partial, _Sink(partial, "w+") as sink:
        with h5py.File(sink, "w", libver=LAYOUT) as file:
            _write_notes(file, rollout, scenario)
            _write_mice(file.create_group("mice"), rollout)
            _write_sessions(file.create_group("sessions"), rollout)
            for name in rollout.columns:
                _note(_write_column(file, name, rollout.stream(name)), "doc", COLUMNS[name][1])
                sink.check()
            if rollout.features:
                _note(_write_column(file, "weights", rollout.stream("weights")), "features", rollout.features)
            file.attrs["complete"] = True
        sink.check()


def _note(owner: Any, name: str, value: Any) -> None:
    text = schema.fixed_text(value)
    owner.attrs.create(name, text, dtype=text.dtype)


def _write_notes(file: Any, rollout: Rollout | StoredRollout, scenario: str) -> None:
    file.attrs.update(format_version=schema.FORMAT_VERSION)
    notes = {"format": schema.FORMAT, "scenario": scenario, "origin": json.dumps(dict(rollout.origin))}
    notes |= {"versions": json.dumps(versions()), "content_hash": content_hash(rollout)}
    for name, value in notes.items():
        _note(file, name, value)


def _write_mice(group: Any, rollout: Rollout | StoredRollout) -> None:
    ids = schema.fixed_text(rollout.ids)
    group.create_dataset("id", data=ids, dtype=ids.dtype)
    group.create_dataset("start", data=rollout.starts)
    if rollout.keys is not None:
        group.create_dataset("key", data=rollout.keys)
    if rollout.theta is not None:
        _note(group.create_dataset("theta", data=rollout.theta), "names", rollout.theta_names)


def _write_sessions(group: Any, rollout: Rollout | StoredRollout) -> None:
    for name, values in (rollout.sessions._asdict() | rollout.session_totals()).items():
        group.create_dataset(name, data=values)
    for name, values in rollout.of_session.items():
        _note(group.create_dataset(name, data=values), "doc", SESSION_COLUMNS[name][1])


def _write_column(file: Any, name: str, column: Stream) -> Any:
    rows, *others = column.shape
    options: dict[str, Any] = {"chunks": (max(1, min(schema.CHUNK_ROWS, rows)), *others), "fletcher32": True}
    if name not in NOISE:
        options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    dataset = file.create_dataset(f"trials/{name}", column.shape, column.dtype, **options)
    start = 0
    for block in column.blocks():
        dataset[start : start + len(block)] = block
        start += len(block)
    dataset.flush()  # or chunks that are still in memory come in an order that depends on what the process wrote before
    return dataset


def file_size(trials: int, features: int) -> int:
    """Bytes that so many trials take on disk, about; with weights of so many features, 0 without."""
    return trials * (BYTES_PER_TRIAL + np.dtype(np.float32).itemsize * features)
