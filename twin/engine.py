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
  threads that it does not copy, and hangs), so it pays its imports once. It ends when the process that started it does.
- `dask`: the same, as workers of dask.distributed on this machine; `dask:ADDRESS` gives the jobs to those of a scheduler that
  runs already, on any machines that see the same files.

Every worker runs the numerical libraries on one thread: workers times their threads would fight for the same cores. For that
reason too, a job that has jobs of its own does them itself, one after the other, whatever engine it asks for.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from logging import CRITICAL
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, TypeVar

from tqdm import tqdm

from agents.features import own_modules
from envs.checks import whole
from envs.names import suggest

Engine = str  # one of ENGINES, or "dask:ADDRESS"
ENGINES = ("serial", "threads", "processes", "dask")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

DASK_LOST = ("KilledWorker", "FutureCancelledError", "CommClosedError")  # errors of dask that mean a worker, by name
CONNECT = 20  # seconds to find a scheduler
_THREAD = threading.local()  # whether this thread is a worker's


class WorkerLost(OSError):
    """A worker ended before its job did; the message says what may have ended it."""


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
    name, colon, address = str(engine).partition(":")
    if name not in ENGINES:
        raise ValueError(suggest("engine", engine, ENGINES))
    if colon and (name != "dask" or not address):
        raise ValueError(f"engine {engine!r}: expected {name!r}; only dask takes an address, as dask:tcp://host:8786")
    if name == "dask" and find_spec("distributed") is None:
        raise ValueError("engine 'dask' needs dask.distributed: pip install 'behavioral-twin[cluster]'")
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
        except Exception as error:
            if isinstance(error, BrokenExecutor) or type(error).__name__ in DASK_LOST:
                raise WorkerLost(
                    "a worker vanished while it worked: killed, out of memory, or started by a script without "
                    "`if __name__ == '__main__':`. What is finished is kept; run the same command again to go on, with fewer "
                    "workers if memory was short"
                ) from error
            raise
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
    elsewhere = engine.startswith("dask:") and jobs != 0  # the scheduler's workers, however many
    if engine == "serial" or (workers <= 1 and not elsewhere) or getattr(_THREAD, "works", False):
        yield JobPool(None)
    elif engine.startswith("dask"):
        with _dask(engine.partition(":")[2], workers) as executor:
            yield JobPool(executor)
    elif engine == "threads":
        with _torch_threads_kept(), _line_searches_silent(), ThreadPoolExecutor(workers, "job", _begin_work) as threads:
            yield JobPool(threads)
    else:
        spawn, modules = get_context("spawn"), (own_modules(),)
        with _one_thread_each(), ProcessPoolExecutor(workers, spawn, _begin_process, modules) as processes:
            yield JobPool(processes)


@contextmanager
def _dask(address: str, workers: int) -> Iterator[Executor]:
    """Workers of a scheduler, or new ones on this machine. Raises ConnectionError if there is no scheduler at an address."""
    from distributed import Client, LocalCluster

    if address:
        try:
            client = Client(address, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"{address}: no dask scheduler answers there ({error}); start one with `dask scheduler`"
            ) from error
        with client:
            yield _Executor(client.get_executor())
        return
    with (
        _one_thread_each(),
        LocalCluster(workers, threads_per_worker=1, dashboard_address=None, silence_logs=CRITICAL) as cluster,
        Client(cluster) as client,
    ):
        yield _Executor(client.get_executor())


class _Executor(Executor):
    """An executor of dask, whose jobs are marked as a worker's."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, job: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Have a job done."""
        return self._executor.submit(_at_work, own_modules(), partial(job, *args, **named))


def _at_work(modules: Sequence[str], job: Callable[[], Result]) -> Result:
    _begin_work(modules)
    return job()


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


def _begin_process(modules: Sequence[str]) -> None:
    """Mark a process as a worker's, and end it with its parent, for which it would wait for ever."""
    _begin_work(modules)
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _one_torch_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


# A fork copies torch but not the threads it works with, for which the copy would wait for ever; with one thread it needs none.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_torch_thread)
