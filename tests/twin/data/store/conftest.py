"""A rollout that has everything a file can hold, and its file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from twin.data.rollout import SESSION_COLUMNS
from twin.data.store import write_rollout


@pytest.fixture(scope="module")
def complete(small):
    """A rollout that has everything a file can hold."""
    sessions = len(small[1].sessions.start)
    known = {name: np.zeros(sessions, kind) for name, (kind, _) in SESSION_COLUMNS.items()}
    return dataclasses.replace(small[1], of_session=known)


@pytest.fixture
def file(complete, tmp_path):
    """A whole file that a test may change."""
    write_rollout(complete, tmp_path / "r.h5")
    return tmp_path / "r.h5"
