"""Where the sessions of a tree are, and what their paths say of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE = re.compile(r"(?:_[a-z]+_)?trials\.(\w+)(?:\.[\w-]+)?\.(npy|pqt)$")  # attribute, ending; between them there may be an id
REVISION = re.compile(r"#.+#$")  # folder of a later version of some files
DATE = re.compile(r"\d{4}-\d\d-\d\d$")
MOST_FOLDERS = 2_000_000  # that are looked into


class Session(NamedTuple):
    """Files of one session, and what the path says: "" where it does not."""

    folder: Path  # that holds the files, `alf` or within
    files: dict[str, Path]  # attribute -> the file of its latest version
    lab: str
    subject: str
    date: str
    number: str

    @property
    def name(self) -> str:
        """What it is called in an error."""
        return "/".join(part for part in (self.lab, self.subject, self.date, self.number) if part) or str(self.folder)


def has_sessions(path: Path) -> bool:
    """Is a path that of a folder with files of trials anywhere in it?"""
    return path.is_dir() and next(_folders(path), None) is not None


def find_sessions(path: Path) -> list[Session]:
    """Every session of a tree, ordered by its path."""
    found: dict[Path, dict[str, Path]] = {}
    for folder, names in _folders(path):
        session = folder.parent if REVISION.match(folder.name) else folder
        files = found.setdefault(session, {})
        for name in names:
            match = FILE.match(name)
            assert match is not None
            attribute = "table" if match[2] == "pqt" else match[1]
            if attribute not in files or str(folder) >= str(files[attribute].parent):
                files[attribute] = _inside(path, folder / name)
    return [Session(folder, files, *place_of(folder)) for folder, files in sorted(found.items())]


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders with files of trials, and their names; links to folders are not followed."""
    for i, (folder, folders, names) in enumerate(os.walk(path, followlinks=False)):
        if i >= MOST_FOLDERS:
            raise ValueError(f"{path}: more than {MOST_FOLDERS} folders; give the folder of some mice or labs")
        folders.sort()
        if there := sorted(name for name in names if FILE.match(name)):
            yield Path(folder), there


def _inside(root: Path, path: Path) -> Path:
    """A file. Raises ValueError if it is a link to one out of the tree."""
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{path}: a link out of {root}, which is not followed; expected the file itself; copy it there")
    return path


def place_of(folder: Path) -> tuple[str, str, str, str]:
    """(lab, subject, date, number) of the folder of a session, or one within; "" where the path does not say."""
    parts = folder.resolve().parts
    for i in range(len(parts) - 1, 0, -1):
        if DATE.match(parts[i]):
            number = parts[i + 1] if i + 1 < len(parts) and parts[i + 1].isdecimal() else ""
            within = [part for part in parts[i + 2 :] if part != "alf"] if number else []
            lab = parts[i - 3] if i >= 3 and parts[i - 2] == "Subjects" else ""
            return lab, parts[i - 1], parts[i], "-".join([number, *within])
    return "", "", "", ""
