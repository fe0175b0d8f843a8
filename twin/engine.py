"""One way to do many independent jobs: one after the other, on threads, or in processes.

    results = map_jobs(job, items, engine="threads", workers=2)

`job` is a function of a module (or a `functools.partial` of one), so that job and items can be pickled and any engine gives
the same results in the same order.

- `serial`: in this thread.
- `threads`: for jobs that spend their time in compiled kernels, which release the interpreter's lock. Starts at once and
  copies nothing.
- `processes`: for jobs that spend their time in Python. Each worker is a new interpreter (spawn: a fork copies the locks of
  threads that it does not copy, and hangs), so it pays its imports once.

Every worker runs the numerical libraries on one thread: workers times their threads would fight for the same cores.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args

from tqdm import tqdm

from envs.checks import whole
from envs.names import suggest

Engine = Literal["serial", "threads", "processes"]
ENGINES: tuple[str, ...] = get_args(Engine)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

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
    check_engine(engine, workers)
    done = _done(job, items, engine, min(workers, len(items)))
    return list(tqdm(done, total=len(items), unit=unit, desc=progress, disable=None if progress else True, delay=0.5))


def check_engine(engine: Any, workers: Any) -> None:
    """Raise ValueError for an engine that does not exist, or a number of workers that is not whole or below 1."""
    if engine not in ENGINES:
        raise ValueError(suggest("engine", engine, ENGINES))
    whole("workers", workers, 1)


def _done(job: Callable[[Item], Result], items: Sequence[Item], engine: Engine, workers: int) -> Iterator[Result]:
    if engine == "serial" or workers <= 1:
        yield from map(job, items)
        return
    with _pool(engine, workers) as pool:
        futures = [pool.submit(job, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


@contextmanager
def _pool(engine: Engine, workers: int) -> Iterator[Executor]:
    """Workers of one map; kept no longer, because a pool of threads does not survive a fork."""
    if engine == "threads":
        with _torch_threads_kept(), ThreadPoolExecutor(workers, initializer=_one_torch_thread) as pool:
            yield pool
        return
    context, before = multiprocessing.get_context("spawn"), dict(os.environ)
    os.environ.update(ONE_THREAD)  # read by the libraries of each worker as it starts
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_torch_thread) as processes:
            yield processes
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    try:
        yield
    finally:
        if threads is not None:
            sys.modules["torch"].set_num_threads(threads)


def _one_torch_thread() -> None:
    """torch counts the threads of each of our threads by itself; it is not loaded for this."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


# A fork copies torch but not the threads it works with, for which the copy would wait for ever; with one thread it needs none.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_torch_thread)
