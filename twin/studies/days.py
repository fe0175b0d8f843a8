"""The file that keeps what is known of every session of a cohort under one design."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from twin.data.files import replace_file
from twin.evaluation.designs import DesignSessions


def read_days(path: Path, fit: str = "") -> DesignSessions:
    """Sessions that were stored. Raises ValueError if the file is not whole, or its mice are of another `fit` than this."""
    try:
        with open(path, "rb") as stored, np.load(stored) as columns:
            kept, days = str(columns["fit"]), DesignSessions(*(columns[name] for name in DesignSessions._fields))
    except PermissionError as error:
        raise PermissionError(f"{path}: you may not read it; ask its owner, or `chmod u+r` it") from error
    except (OSError, EOFError, KeyError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not the sessions of a design: {error}") from error
    if kept != fit:
        raise ValueError("its mice are of another fit")
    return days


def write_days(days: DesignSessions, path: Path, fit: str = "") -> None:
    """Keep sessions in a file, in one step, bound to the content of the fit that their mice come from."""
    content = io.BytesIO()
    np.savez_compressed(content, **days._asdict(), fit=np.array(fit))
    replace_file(path, content.getvalue())
