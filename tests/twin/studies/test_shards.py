"""Cohorts kept in shards: the same bytes whatever simulates them, gone on with after any end, and read some mice at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twin.cli import main
from twin.data.rollout import Rollout
from twin.data.store import content_hash, describe, read_rollout, verify
from twin.studies.lock import Part
from twin.studies.run import run, run_part
from twin.studies.scenario import parse
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
