"""Neurodata Without Borders: the trials of one session a file, alone or in a folder (`pip install 'behavioral-twin[nwb]'`).

Columns of the trials table are those of `twin.data.tables.names`; mouse, start, weight and task are of the file. What is
written says whether its mice are simulated, and which of its dates and times are not known. Links to other files are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.store.contained import has_attribute
from twin.data.tables.names import Asked

ENDING = ".nwb"


def files_of(path: Path) -> Iterator[Path]:
    """NWB files of a path: itself, or all in a folder, but for links."""
    if path.is_file():
        if has_attribute(path, "nwb_version"):
            yield path
        return
    for folder, folders, names in os.walk(path, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if name.endswith(ENDING) and not file.is_symlink() and has_attribute(file, "nwb_version"):
                yield file


def detect(path: Path) -> bool:
    """Is a path that of an NWB file, or of a folder with one in it?"""
    return next(files_of(path), None) is not None


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file or folder. Raises ValueError if pynwb is not installed."""
    from twin.data.formats.nwb.reading import read_files

    return read_files(path, list(files_of(path)), asked)


def write(rollout: Rollout, path: Path) -> None:
    """Write a folder with a file for each session. Raises ValueError if pynwb is not installed."""
    from twin.data.formats.nwb.writing import write_files

    write_files(rollout, path)


FORMAT = Format("nwb", "an NWB file or folder", (ENDING,), detect, read, write)
