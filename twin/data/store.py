"""HDF5 files of rollouts; the only place that imports h5py.

    /                 format, format_version, origin (JSON: seed, protocol, cohort, source), scenario (TOML), versions (JSON),
                      content_hash, complete (written last)
    /mice             id, key, theta (M, P; attribute `names`), start (M + 1)
    /sessions         mouse, session, start, stop; duration_s, water_ul, protocol, status where known (SESSION_COLUMNS)
    /trials/<column>  one 1-D dataset per column of COLUMNS, all mice concatenated; weights (N, K), attribute `features`

The content hash is that of all of these that are read back (`content_hash`).

Chunks of 64 Ki rows, gzip 1 + shuffle + fletcher32: readable anywhere without plugins. A file is written under another name
and renamed when whole, so a reader never sees half of one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from twin.data.content import hash_content
from twin.data.rollout import COLUMNS, REQUIRED, SESSION_COLUMNS, Rollout

FORMAT = "behavioral-twin rollout"
FORMAT_VERSION = 2  # since the content hash covers all that is read back
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of every HDF5 file
CHUNK_ROWS = 65_536


def versions() -> dict[str, str]:
    """Versions of this distribution and of what it computes with."""
    return {
        name: importlib.metadata.version(name) for name in ("behavioral-twin", "numpy", "numba", "torch", "h5py", "gymnasium")
    }


def content_hash(rollout: Rollout) -> str:
    """SHA-256 of all that a file gives back: equal exactly if every column, name, parameter and note of the origin is."""
    parts: dict[str, Any] = {"ids": rollout.ids, "starts": rollout.starts}
    parts |= {f"trials/{name}": rollout.columns[name] for name in COLUMNS if name in rollout.columns}
    parts |= {f"sessions/{name}": rollout.of_session[name] for name in SESSION_COLUMNS if name in rollout.of_session}
    if rollout.weights is not None:
        parts |= {"features": rollout.features, "weights": rollout.weights}
    if rollout.keys is not None:
        parts["keys"] = rollout.keys
    if rollout.theta is not None:
        parts |= {"theta_names": rollout.theta_names, "theta": rollout.theta}
    return hash_content(parts | {"origin": json.dumps(dict(rollout.origin), sort_keys=True)})


def is_rollout(path: Path) -> bool:
    """Is a file one of this format, whole or not? By its signature and the format it names."""
    with open(path, "rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return False
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:  # cut short; reading it says so
        return True


def write_rollout(rollout: Rollout, path: str | Path, scenario: str = "") -> None:
    """Write a rollout; a file already there is replaced only once the new one is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    with h5py.File(partial, "w") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, scenario=scenario)
        file.attrs["origin"] = json.dumps(dict(rollout.origin))
        file.attrs["versions"] = json.dumps(versions())
        file.attrs["content_hash"] = content_hash(rollout)
        _write_mice(file.create_group("mice"), rollout)
        _write_sessions(file.create_group("sessions"), rollout)
        for name, values in rollout.columns.items():
            _write_column(file, name, values).attrs["doc"] = COLUMNS[name][1]
        if rollout.weights is not None:
            _write_column(file, "weights", rollout.weights).attrs["features"] = list(rollout.features)
        file.attrs["complete"] = True
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def _write_mice(group: Any, rollout: Rollout) -> None:
    group.create_dataset("id", data=list(rollout.ids), dtype=h5py.string_dtype())
    group.create_dataset("start", data=rollout.starts)
    if rollout.keys is not None:
        group.create_dataset("key", data=rollout.keys)
    if rollout.theta is not None:
        group.create_dataset("theta", data=rollout.theta).attrs["names"] = list(rollout.theta_names)


def _write_sessions(group: Any, rollout: Rollout) -> None:
    for name, values in (rollout.sessions._asdict() | rollout.session_totals()).items():
        group.create_dataset(name, data=values)
    for name, values in rollout.of_session.items():
        group.create_dataset(name, data=values).attrs["doc"] = SESSION_COLUMNS[name][1]


def _write_column(file: Any, name: str, values: np.ndarray) -> Any:
    chunks = (max(1, min(CHUNK_ROWS, len(values))), *values.shape[1:])
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    return file.create_dataset(f"trials/{name}", data=values, chunks=chunks, **options)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, checked to be a whole rollout. Raises FileNotFoundError, or ValueError saying what is wrong with it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected an HDF5 rollout written by `twin run` or `twin import`")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"{path}: an HDF5 file, but not a {FORMAT}; make one with `twin import`")
            if file.attrs["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"{path}: format version {file.attrs['format_version']}; this version of twin reads {FORMAT_VERSION}; "
                    f"make the file again with `twin run` or `twin import`"
                )
            if not file.attrs.get("complete", False):
                raise ValueError(f"{path}: the file was never finished; write it again")
            yield file
    except (OSError, KeyError) as error:
        raise ValueError(f"{path}: not a readable HDF5 file, or cut short ({error}); write or copy it again") from error


def read_rollout(path: str | Path) -> Rollout:
    """A rollout from its file. Raises FileNotFoundError, or ValueError saying what is wrong with the file."""
    with _opened(Path(path)) as file:
        mice, trials = file["mice"], file["trials"]
        if missing := [name for name in REQUIRED if name not in trials]:
            raise ValueError(f"{path}: the trial columns {missing} are missing")
        theta = mice.get("theta")
        weights = trials.get("weights")
        return Rollout(
            columns={name: trials[name][()] for name in COLUMNS if name in trials},
            starts=mice["start"][()],
            ids=tuple(mice["id"].asstr()[()]),
            weights=None if weights is None else weights[()],
            features=() if weights is None else tuple(weights.attrs["features"]),
            keys=mice["key"][()] if "key" in mice else None,
            theta=None if theta is None else theta[()],
            theta_names=() if theta is None else tuple(theta.attrs["names"]),
            origin=json.loads(file.attrs["origin"]),
            of_session={name: file[f"sessions/{name}"][()] for name in SESSION_COLUMNS if name in file["sessions"]},
        )


def describe(path: str | Path) -> dict[str, Any]:
    """What a file holds, without reading its trials."""
    with _opened(Path(path)) as file:
        return {
            "mice": len(file["mice/id"]),
            "sessions": len(file["sessions/start"]),
            "trials": int(file["mice/start"][-1]),
            "columns": list(file["trials"]),
            "origin": json.loads(file.attrs["origin"]),
            "versions": json.loads(file.attrs["versions"]),
            "content_hash": file.attrs["content_hash"],
        }


def verify(path: str | Path) -> str:
    """The content hash of a file, recomputed. Raises ValueError if it is not the one stored."""
    stored, found = describe(path)["content_hash"], content_hash(read_rollout(path))
    if stored != found:
        raise ValueError(f"{path}: the content is not what was written (hash {found[:12]} instead of {stored[:12]})")
    return found
