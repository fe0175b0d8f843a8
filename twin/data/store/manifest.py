"""The manifest of a folder of shards: which files hold which mice, and what they hold.

A shard is an ordinary file of the store, `mice-0000000-0000099.h5`, with the mice that its name says. The manifest is written
once all shards are there; a folder without one is of a run that is not finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from envs.table import Table
from twin.data.content import hash_content
from twin.data.files import replace_file, said_of
from twin.data.store.reading import Outline

MANIFEST = "manifest.json"
LARGEST = 100_000_000  # bytes of a manifest: a million shards


class Shard(Table):
    """One file of a folder."""

    file: str = Field(pattern=r"^mice-\d+-\d+\.h5$")
    mice: int = Field(ge=1)
    sessions: int = Field(ge=0)
    trials: int = Field(ge=0)
    content_hash: str


class Manifest(Table):
    """What a folder of shards holds, in the order of the mice."""

    format: Literal["behavioral-twin rollout in shards"] = "behavioral-twin rollout in shards"
    format_version: Literal[1] = 1
    shards: tuple[Shard, ...] = Field(min_length=1)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the hashes of the shards, in their order."""
        return hash_content({"shards": [shard.content_hash for shard in self.shards]})


def shard_name(mice: range) -> str:
    """The name of the file of some mice in a row."""
    return f"mice-{mice.start:07d}-{mice.stop - 1:07d}.h5"


def is_sharded(path: str | Path) -> bool:
    """Is a path that of a whole folder of shards?"""
    return (Path(path) / MANIFEST).is_file()


def write_manifest(folder: Path, names: Sequence[str], outlines: Sequence[Outline]) -> None:
    """Say what the files of a folder hold. Raises OSError as `replace_file`."""
    shards = tuple(
        Shard(
            file=name,
            mice=len(outline.ids),
            sessions=len(outline.sessions.start),
            trials=int(outline.starts[-1]),
            content_hash=outline.content_hash,
        )
        for name, outline in zip(names, outlines, strict=True)
    )
    replace_file(folder / MANIFEST, json.dumps(Manifest(shards=shards).model_dump(), indent=1).encode())


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a folder. Raises ValueError that says what is wrong."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"{folder}: a folder without {MANIFEST}; expected a file, or a rollout in shards whose run is finished "
            f"(the same `twin run` again goes on with it)"
        )
    with said_of(path):
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"{path}: has {size} bytes; expected a manifest of at most {LARGEST}")
        content = path.read_bytes()
    try:
        table = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}); remove it and run the scenario again, the shards are kept") from None
    try:
        return Manifest.checked(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def shard_path(folder: Path, shard: Shard) -> Path:
    """Where a shard is. Raises ValueError unless it is a file of the folder itself."""
    path = folder / shard.file
    if os.path.islink(path):
        raise ValueError(f"{path}: a link, which is not followed; expected the shard itself, copy it there")
    if not path.is_file():
        raise ValueError(f"{path}: this shard is missing; run the scenario again, which makes it anew, or copy it there")
    return path
