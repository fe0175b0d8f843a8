"""Jobs on every engine: the same results in the same order, the first error raised, and torch left as it was."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import pytest
import torch

from twin.engine import ENGINES, ONE_THREAD, job_pool, map_jobs


def shifted(item: int, by: int = 0) -> int:
    """A job of a module; later items are done sooner."""
    time.sleep(0.02 / (1 + item))
    return item * item + by


def failing(item: int) -> int:
    """A job that fails from 3 on, later items sooner."""
    if item >= 3:
        time.sleep(0.05 / item)
        raise ValueError(f"item {item}")
    return item


def threads_of_torch(item: int) -> tuple[int, int]:
    """Where the job ran, and the threads torch has there."""
    time.sleep(0.02)
    return os.getpid(), torch.get_num_threads()


def numba_threads(item: int) -> str | None:
    """What a numerical library reads as it starts."""
    return os.environ.get("NUMBA_NUM_THREADS")


def where(item: int) -> int:
    """The thread of a job."""
    return threading.get_ident()


def nested(item: int) -> set[int]:
    """Threads of the jobs of a job."""
    return {threading.get_ident(), *map_jobs(where, range(4), engine="threads", workers=2)}


@pytest.mark.parametrize("engine", ENGINES)
def test_results_are_in_the_order_of_items(engine):
    assert map_jobs(partial(shifted, by=1), range(5), engine=engine, workers=2) == [1, 2, 5, 10, 17]
    assert map_jobs(shifted, [], engine=engine, workers=2) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_first_error_in_the_order_of_items_is_raised(engine):
    with pytest.raises(ValueError, match="item 3"):
        map_jobs(failing, range(6), engine=engine, workers=2)


def test_jobs_that_have_not_begun_are_stopped_by_an_error():
    begun = []

    def job(item: int) -> None:
        begun.append(item)
        time.sleep(0.01)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        map_jobs(job, range(50), workers=2)
    assert len(begun) < 10


def test_workers_have_one_thread_each_and_torch_keeps_its_own():
    before, environment = torch.get_num_threads(), dict(os.environ)
    torch.set_num_threads(2)
    try:
        on_threads = map_jobs(threads_of_torch, range(4), engine="threads", workers=2)
        in_processes = map_jobs(threads_of_torch, range(4), engine="processes", workers=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert on_threads == [(os.getpid(), 1)] * 4
    assert os.getpid() not in {process for process, _ in in_processes}
    assert {threads for _, threads in in_processes} == {1}
    assert map_jobs(numba_threads, range(2), engine="processes", workers=2) == ["1", "1"]
    assert dict(os.environ) == environment
    assert "NUMBA_NUM_THREADS" in ONE_THREAD


def test_jobs_of_a_job_are_done_by_its_own_worker():
    for threads in map_jobs(nested, range(3), engine="threads", workers=2):
        assert len(threads) == 1


def test_a_pool_serves_many_maps():
    with job_pool("threads", 2) as pool:
        found = [list(pool.each(shifted, range(4))) for _ in range(3)]
        threads = set(pool.each(where, range(8)))
    assert found == [[0, 1, 4, 9]] * 3
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("title", ["", "fit"])
def test_bar_only_when_wanted(title, monkeypatch):
    shown = {}

    def bar(results, **options):
        shown.update(options)
        return results

    monkeypatch.setattr("twin.engine.tqdm", bar)
    assert map_jobs(shifted, range(2), progress=title) == [0, 1]
    assert shown["disable"] is (None if title else True)  # None: shown on a terminal alone
    assert shown["desc"] == title and shown["total"] == 2


def test_wrong_engine_and_workers_are_refused():
    with pytest.raises(ValueError, match="did you mean 'threads'"):
        map_jobs(shifted, range(2), engine="thread")
    with pytest.raises(ValueError, match="workers = 0: expected at least 1"):
        map_jobs(shifted, range(2), workers=0)
