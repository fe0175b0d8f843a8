"""What fuzzing of files has in common: cases one after the other, each within a time, all within so much memory."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

Found = tuple[Counter[str], list[str]]  # outcomes, and what went wrong
Case = Callable[[int, np.random.Generator], tuple[str, Callable[[], str]]]  # what is damaged, and what tells the outcome


class Overdue(BaseException):
    """A case took too long."""


def _overdue(_number: int, _frame: object) -> None:
    raise Overdue


def run_cases(cases: int, seed: int, limit: int, damaged: Case) -> Found:
    """Outcomes of so many cases, and what went wrong: whatever a case raises, or that it takes more than `limit` seconds."""
    outcomes, wrong = Counter[str](), list[str]()
    signal.signal(signal.SIGALRM, _overdue)
    for case in range(cases):
        what, outcome = damaged(case, np.random.default_rng((seed, case)))
        signal.alarm(limit)
        try:
            outcomes[outcome()] += 1
        except BaseException as error:
            wrong.append(f"case {case} ({what}): {type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
    return outcomes, wrong


def asked(what: str, **cases: int) -> argparse.Namespace:
    """What the command line asks for: `--seed`, and how many cases, by the names of their kinds."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    for kind, number in cases.items():
        parser.add_argument(f"--{kind}", type=int, default=number, help=f"how many (default: {number})")
    return parser.parse_args()


def report(run: Callable[[int, int, Path], Found], cases: int, seed: int, memory: int) -> int:
    """Run the cases in so many bytes of memory and print what came of them; the exit status."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with tempfile.TemporaryDirectory() as folder:
        outcomes, wrong = run(cases, seed, Path(folder))
    print(f"{cases} cases: {dict(outcomes)}; {len(wrong)} wrong", *(what[:1000] for what in wrong), sep=os.linesep)
    return 1 if wrong else 0
