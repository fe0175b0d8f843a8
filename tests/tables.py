"""Tables of trials for tests: the cases that are shipped, and lines made up."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

CASES = Path(__file__).parent / "twin" / "data" / "cases"
HEADER = "subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left"


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a table, by the csv module."""
    with open(CASES / name, newline="") as file:
        return list(csv.DictReader(file))


def expected(rows: list[dict[str, str]]) -> list[tuple[float, int, int]]:
    """(contrast, choice, reward) of rows in the first dialect, in the order given."""
    choices = {"-1": 0, "1": 1, "0": -1}
    return [
        (float(r["contrast_right"] or 0) - float(r["contrast_left"] or 0), choices[r["choice"]], int(r["correct"]))
        for r in rows
    ]


def found(rollout) -> list[tuple[float, int, int]]:
    return list(zip(rollout.contrast.tolist(), rollout.choice.tolist(), rollout.reward.tolist(), strict=True))


def same(one, other) -> bool:
    equal = [np.array_equal(one.columns[name], other.columns[name], equal_nan=True) for name in one.columns]
    return one.columns.keys() == other.columns.keys() and all(equal) and one.ids == other.ids


def table(tmp_path: Path, lines: list[str], header: str = HEADER, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def trial_lines(sessions: int = 2, trials: int = 3, subject: str = "m", numbered: bool = True) -> list[str]:
    """A mouse that is always right, of a different contrast in each trial."""
    return [
        f"{subject},{s},2021-03-{s:02d},{t if numbered else ''},{t / 16},0,-1,1,0.5"
        for s in range(1, sessions + 1)
        for t in range(1, trials + 1)
    ]
