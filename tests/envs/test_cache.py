"""The cache of compiled code on machines as they are: folders that cannot be written, files cut short or changed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from numba import config

from envs import cache

DAMAGES = [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-40] + bytes([b[-40] ^ 1]) + b[-39:]]
NOWHERE = Path("/proc/nonexistent")
SOURCE = "from envs.compiled import njit\n\n@njit(cache=True)\ndef double(x):\n    return 2 * x\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A function that makes anew the module of one cached function; its cache is in `tmp_path`."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "tiny.py"
    path.write_text(SOURCE)

    def load():
        spec = importlib.util.spec_from_file_location("tiny", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.double

    return load


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES, ids=["emptied", "cut short", "a bit flipped"])
def test_a_damaged_file_is_compiled_again(tiny, tmp_path, suffix, damage):
    first = tiny()
    assert first(4) == 8
    assert sum(first.stats.cache_misses.values()) == 1
    again = tiny()
    assert (again(4), sum(again.stats.cache_hits.values())) == (8, 1)
    (path,) = (tmp_path / "cache").rglob(f"*.{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    mended = tiny()
    assert (mended(4), sum(mended.stats.cache_hits.values())) == (8, 0)
    after = tiny()
    assert (after(4), sum(after.stats.cache_hits.values())) == (8, 1)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_a_full_disk_costs_the_cache_alone(tiny, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._Files, "_save_data", full)
    assert tiny()(4) == 8
    assert tiny()(4) == 8


def test_where_nothing_lasts_a_temporary_folder_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config, "CACHE_DIR", str(NOWHERE))
    monkeypatch.setattr(cache, "_lasting_roots", lambda: iter([NOWHERE, NOWHERE / "home"]))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = cache.cache_folder()
    assert folder is not None and folder.is_relative_to(tmp_path)
    assert "set NUMBA_CACHE_DIR to a folder that can" in capsys.readouterr().err
    assert cache.cache_folder() == folder
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(NOWHERE))
    assert cache.cache_folder() is None


def test_folders_of_other_states_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(cache, "_lasting_roots", lambda: iter([NOWHERE, tmp_path]))
    (tmp_path / "numba-0123").mkdir()
    folder = cache.cache_folder()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert cache.cache_folder() == folder


def test_a_user_without_a_home(monkeypatch):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "home", none)
    assert len(list(cache._lasting_roots())) == 1
