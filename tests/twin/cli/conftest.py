"""The folder that commands start in, and a scenario that takes no time."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = """
kind = "cohort"
name = "tiny"
[cohort]
mice = 2
rule = "static"
[protocol]
base = "ibl-documented"
[run]
trials = 20
"""


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])


@pytest.fixture
def tiny(tmp_path):
    """A scenario that takes no time."""
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"
