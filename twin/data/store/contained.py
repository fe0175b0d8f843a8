"""Is an HDF5 file of somebody else's safe to hand to a library that follows links and allocates what a file declares?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py

from twin.data.store.reading import BROKEN, SIGNATURE
from twin.data.store.schema import MOST_COMPRESSION

MOST_OBJECTS = 1_000_000  # in one file


def has_attribute(path: Path, name: str) -> bool:
    """Is a path that of an HDF5 file whose root has an attribute?"""
    try:
        with open(path, "rb") as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                return False
        with h5py.File(path, "r") as file:
            return bool(h5py.h5a.exists(file.id, name.encode()))
    except BROKEN:
        return False


def check_contained(path: Path) -> None:
    """Raise ValueError if a file is not whole, links or stores anything elsewhere, or declares more than it stores."""
    try:
        with h5py.File(path, "r") as file:
            _check(path, file)
    except BROKEN as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: not a readable HDF5 file, or cut short ({' '.join(str(error).split())[:200]})") from None


def _check(path: Path, file: Any) -> None:
    seen, rest = set[Any](), [file]
    while rest:
        group = rest.pop()
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise ValueError(f"{path}: {group.name}/{name} is a link to another file, which is not followed; copy it there")
            found = group.get(name)
            if found is None or found.id in seen:
                continue
            seen.add(found.id)
            if len(seen) > MOST_OBJECTS:
                raise ValueError(f"{path}: more than {MOST_OBJECTS} groups and data sets; expected a file of one session")
            if isinstance(found, h5py.Group):
                rest.append(found)
            elif isinstance(found, h5py.Dataset):
                _check_dataset(path, found)


def _check_dataset(path: Path, dataset: Any) -> None:
    plist = dataset.id.get_create_plist()
    if dataset.is_virtual or plist.get_external_count():
        raise ValueError(f"{path}: {dataset.name} is stored in other files, which are not opened; expected the data themselves")
    declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    most = dataset.id.get_storage_size() * (MOST_COMPRESSION if plist.get_layout() == h5py.h5d.CHUNKED else 1)
    if dataset.shape is not None and declared > most:
        raise ValueError(
            f"{path}: {dataset.name} declares {dataset.shape} values, which the file does not store; it is not whole"
        )
