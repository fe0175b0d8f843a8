"""Cohorts kept in shards: the same bytes whatever simulates them, gone on with after any end, and read some mice at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from twin.cli import main
from twin.data.files import DiskFull
from twin.data.rollout import Rollout
from twin.data.store import content_hash, describe, read_rollout, verify
from twin.engine import WorkerLost
from twin.studies.folder import RunFolder
from twin.studies.lock import Part
from twin.studies.run import run, run_part
from twin.studies.scenario import parse, to_toml
from twin.studies.shards import UnfinishedError
from twin.studies.study import Options

TABLE = {
    "kind": "cohort",
    "name": "sharded",
    "cohort": {"mice": 5, "parameters": {"rate": {"distribution": "lognormal", "median": 0.06, "sigma": 0.3}}},
    "protocol": {"base": "ibl-documented"},
    "run": {"until": "trained_1a", "horizon": 4, "mice_per_shard": 2, "then": ["biased"]},
}
SHARDS = ["mice-0000000-0000001.h5", "mice-0000002-0000003.h5", "mice-0000004-0000004.h5"]
SERIAL = Options(workers=1, engine="serial")


def study_of(**run_length):
    return parse(TABLE | {"run": TABLE["run"] | run_length}, "a test")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "rollouts").iterdir())}


def numbers_of(folder: Path) -> dict:
    return {key: value for key, value in json.loads((folder / "results.json").read_text()).items() if key != "seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run folder of a cohort in shards."""
    folder = tmp_path_factory.mktemp("shards") / "whole"
    run(study_of(), folder, SERIAL)
    return folder


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    """The run folder of the same cohort in one file."""
    folder = tmp_path_factory.mktemp("shards") / "one"
    run(study_of(mice_per_shard=5), folder, SERIAL)
    return folder


@pytest.mark.parametrize(("engine", "workers"), [("threads", 2), ("processes", 1), ("processes", 2), ("dask", 1), ("dask", 2)])
def test_engines_and_workers_make_the_same_bytes(engine, workers, whole, tmp_path):
    run(study_of(), tmp_path, Options(workers=workers, engine=engine))
    assert files_of(tmp_path) == files_of(whole)
    assert numbers_of(tmp_path) == numbers_of(whole)


def test_parts_of_a_job_array_make_the_same_bytes(whole, tmp_path):
    for number in (1, 0):
        run_part(study_of(), tmp_path, Part(number, 2), SERIAL)
    before = files_of(tmp_path)
    run(study_of(), tmp_path, SERIAL)
    assert files_of(tmp_path) == files_of(whole)
    assert list(before) == SHARDS  # and no manifest


def test_shards_hold_what_one_file_does(whole, one_file, tmp_path):
    shards, one = Rollout.open(whole / "rollouts"), read_rollout(one_file / "rollouts.h5")
    assert content_hash(shards) == content_hash(shards.read()) == content_hash(one)
    assert numbers_of(whole) == numbers_of(one_file)
    assert main(["merge", str(whole / "rollouts"), str(tmp_path / "merged.h5")]) == 0
    assert verify(tmp_path / "merged.h5") == content_hash(one)
    assert describe(whole / "rollouts")["shards"] == 3


def test_what_is_read_lazily_is_what_was_read_whole(whole, one_file):
    shards, one = Rollout.open(whole / "rollouts"), read_rollout(one_file / "rollouts.h5")
    assert [part.n_mice for part in shards.parts(["choice"])] == [2, 2, 1]
    assert {name for part in shards.parts(["choice"]) for name in part.columns} == {"session", "choice"}
    for stored in (shards, Rollout.open(one_file / "rollouts.h5")):
        some = stored.select([4, 1])
        assert content_hash(some) == content_hash(one.select([4, 1]))
        assert [mouse.ids[0] for mouse in stored.each_mouse(["reward"])] == list(one.ids)
        for got, expected in zip(stored.sessions, one.sessions, strict=True):
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="mouse number 5; expected 0 to 4"):
        shards.select([5])


def test_large_files_are_read_in_parts(one_file, monkeypatch):
    monkeypatch.setattr("twin.data.store.stored.TRIALS_AT_ONCE", 1)
    stored = Rollout.open(one_file / "rollouts.h5")
    assert [part.ids for part in stored.parts()] == [(name,) for name in stored.ids]
    assert content_hash(stored) == content_hash(read_rollout(one_file / "rollouts.h5"))


def test_parts_of_other_cohorts_are_not_put_together(whole, one_file):
    parts = list(Rollout.open(whole / "rollouts").parts())
    assert content_hash(Rollout.concatenate(parts)) == content_hash(read_rollout(one_file / "rollouts.h5"))
    with pytest.raises(ValueError, match=r"mouse 'mouse-0000' is there 2 times"):
        Rollout.concatenate([parts[0], parts[0]])
    with pytest.raises(ValueError, match=r"seed of the mice from 'mouse-0002' on is '9', from 'mouse-0000' on '1'"):
        Rollout.concatenate([parts[0], replace(parts[1], origin=dict(parts[1].origin) | {"seed": 9})])
    with pytest.raises(ValueError, match="features of mouse 'mouse-0002'"):
        Rollout.concatenate([parts[0], parts[1].without_weights()])


@pytest.fixture
def copied(whole, tmp_path):
    """A run folder that may be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def test_missing_and_cut_shards_are_made_again_and_the_others_kept(copied, whole):
    shards = copied / "rollouts"
    (shards / SHARDS[0]).unlink()
    (shards / SHARDS[1]).write_bytes((shards / SHARDS[1]).read_bytes()[:-500])
    kept = (shards / SHARDS[2]).stat().st_ino
    with pytest.raises(ValueError, match=f"{SHARDS[0]}: this shard is missing"):
        Rollout.open(shards)
    run(study_of(), copied, SERIAL)
    assert files_of(copied) == files_of(whole)
    assert (shards / SHARDS[2]).stat().st_ino == kept
    assert f"{SHARDS[1]}: made again" in (copied / "log.txt").read_text()


def test_changed_shards_links_and_manifests_are_refused_by_name(copied, tmp_path):
    shards = copied / "rollouts"
    file = shards / SHARDS[1]
    content = bytearray(file.read_bytes())
    content[-2000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=SHARDS[1]):
        verify(shards)
    file.rename(tmp_path / "elsewhere.h5")
    file.symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(ValueError, match=f"{SHARDS[1]}: a link, which is not followed"):
        Rollout.open(shards)
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["shards"][0]["file"] = "../../mice-0-1.h5"
    (shards / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"manifest.json: shards.0.file"):
        Rollout.open(shards)
    (shards / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"a folder without manifest\.json"):
        Rollout.open(shards)


def failing(mice: range) -> Rollout:
    """Mice of which the second pair cannot be simulated."""
    if mice.start == 2:
        raise ZeroDivisionError("no such mouse")
    return study_of().simulate(mice)


def test_failed_shard_is_told_and_the_rest_goes_on(tmp_path):
    shards = study_of().shards(RunFolder(tmp_path, "x"))._replace(simulate=failing)
    with pytest.raises(UnfinishedError, match=r"1 of 3 shards .*mice 2 to 3: ZeroDivisionError: no such mouse"):
        shards.make(SERIAL)
    assert sorted(path.name for path in (tmp_path / "rollouts").iterdir()) == [SHARDS[0], SHARDS[2]]


def vanishing(mice: range) -> Rollout:
    """A worker that is killed at its second shard."""
    if mice.start == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return study_of().simulate(mice)


def test_worker_that_vanishes_is_one_sentence(tmp_path):
    shards = study_of().shards(RunFolder(tmp_path, "x"))._replace(simulate=vanishing)
    with pytest.raises(WorkerLost, match="a worker vanished while it worked: killed, out of memory"):
        shards.make(Options(workers=2, engine="processes"))


def test_no_room_is_said_before_anything_is_simulated(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000))
    with pytest.raises(DiskFull, match=r"5 mice of \d+ trials, which needs about .* GB; 1e-06 GB are free"):
        run(study_of(), tmp_path, SERIAL)
    assert not (tmp_path / "rollouts").exists()


def test_without_weights(whole, tmp_path):
    run(study_of(weights=False), tmp_path, SERIAL)
    bare, full = Rollout.open(tmp_path / "rollouts").read(), Rollout.open(whole / "rollouts").read()
    assert bare.weights is None
    assert content_hash(bare) == content_hash(full.without_weights())
    assert numbers_of(tmp_path) == numbers_of(whole)


def test_scenario_is_planned_without_being_run(tmp_path, capsys):
    (tmp_path / "c.toml").write_text(to_toml(study_of()))
    assert main(["run", str(tmp_path / "c.toml"), "--out", str(tmp_path / "out"), "--dry-run", "--no-weights"]) == 0
    said = capsys.readouterr().out
    told = [line for line in said.splitlines() if line.startswith("# ")]
    assert [line.split(":")[0] for line in told[1:]] == ["# disk", "# memory", "# time"]
    assert told[0].startswith("# 5 mice, ") and "3 shards" in told[0]
    assert tomllib.loads(said)["run"]["weights"] is False
    assert not (tmp_path / "out").exists()
