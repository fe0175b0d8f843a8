"""One way to do many independent jobs: one after the other, on threads, or in processes.

    results = map_jobs(job, items, engine="threads", workers=2)

`job` is a function of a module (or a `functools.partial` of one), so that job and items can be pickled and any engine gives
the same results in the same order. Where the same workers are needed often, `job_pool` keeps them:

    with job_pool("threads", workers=2) as pool:
        results = list(pool.each(job, items))

- `serial`: in this thread.
- `threads`: for jobs that spend their time in compiled kernels, which release the interpreter's lock. Starts at once and
  copies nothing.
- `processes`: for jobs that spend their time in Python. Each worker is a new interpreter (spawn: a fork copies the locks of
  threads that it does not copy, and hangs), so it pays its imports once.

Every worker runs the numerical libraries on one thread: workers times their threads would fight for the same cores. For that
reason too, a job that has jobs of its own does them itself, one after the other, whatever engine it asks for.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Literal, TypeVar, get_args

from tqdm import tqdm

from agents.features import own_modules
from envs.checks import whole
from envs.names import suggest

Engine = Literal["serial", "threads", "processes"]
ENGINES: tuple[str, ...] = get_args(Engine)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

_THREAD = threading.local()  # whether this thread is a worker's

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_jobs(
    job: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    engine: Engine = "threads",
    workers: int = CORES,
    progress: str = "",
    unit: str = "job",
) -> list[Result]:
    """Results of `job` for every item, in the order of the items; `progress` is the title of a bar, none without.

    The first job that fails stops those that have not begun, and its error is raised here. Raises ValueError for an engine
    that does not exist or less than one worker.
    """
    with job_pool(engine, workers, len(items)) as pool:
        results = pool.each(job, items)
        return list(tqdm(results, total=len(items), unit=unit, desc=progress, disable=None if progress else True, delay=0.5))


def check_engine(engine: Any, workers: Any) -> None:
    """Raise ValueError for an engine that does not exist, or a number of workers that is not whole or below 1."""
    if engine not in ENGINES:
        raise ValueError(suggest("engine", engine, ENGINES))
    whole("workers", workers, 1)


class JobPool:
    """Workers that stay ready between maps; without an executor, the calling thread does the jobs."""

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor

    def each(self, job: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The result of `job` for every item, in the order of the items, each as soon as it and those before it are there."""
        if self._executor is None:
            yield from map(job, items)
            return
        futures = [self._executor.submit(job, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def results(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each of these jobs gives, in their order."""
        return list(self.each(_call, jobs))


def _call(job: Callable[[], Result]) -> Result:
    return job()


@contextmanager
def job_pool(engine: Engine = "threads", workers: int = CORES, jobs: int | None = None) -> Iterator[JobPool]:
    """Workers for many maps, no more of them than `jobs`. Raises ValueError for an unknown engine or less than one worker.

    To be closed before the process forks: a pool of threads does not survive it.
    """
    check_engine(engine, workers)
    workers = workers if jobs is None else min(workers, jobs)
    if engine == "serial" or workers <= 1 or getattr(_THREAD, "works", False):
        yield JobPool(None)
    elif engine == "threads":
        with _torch_threads_kept(), _line_searches_silent(), ThreadPoolExecutor(workers, "job", _begin_work) as threads:
            yield JobPool(threads)
    else:
        with _one_thread_each(), ProcessPoolExecutor(workers, get_context("spawn"), _begin_work, (own_modules(),)) as processes:
            yield JobPool(processes)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """What the libraries of a worker process read as it starts."""
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _line_searches_silent() -> Iterator[None]:
    """scipy silences its line searches by a switch of the whole process, which threads would turn on for each other."""
    with warnings.catch_warnings():
        for message in ("The line search algorithm did not converge", "Rounding errors prevent the line search"):
            warnings.filterwarnings("ignore", message, RuntimeWarning)
        yield


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    try:
        yield
    finally:
        if threads is not None:
            sys.modules["torch"].set_num_threads(threads)


def _begin_work(modules: Sequence[str] = ()) -> None:
    """Mark a thread as a worker's, with one thread of torch's own, which counts them for each of ours; torch is not loaded.

    A new process imports the modules that registered features, which are known by name.
    """
    for module in modules:
        import_module(module)
    _THREAD.works = True
    _one_torch_thread()


def _one_torch_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


# A fork copies torch but not the threads it works with, for which the copy would wait for ever; with one thread it needs none.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_torch_thread)
