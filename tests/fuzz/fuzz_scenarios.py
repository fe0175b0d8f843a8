"""Scenarios at random: every shipped one with keys, values, types and nesting changed, and with random --set.

Each is a study or one sentence, never another exception; some tiny ones are run as well, which ends with results or with one
sentence and status 2. The seeds are fixed:

    PYTHONPATH=tests python tests/fuzz/fuzz_scenarios.py [--seed 1] [--read 2500] [--run 40]
"""

from __future__ import annotations

import contextlib
import copy
import io
import random
import sys
import tempfile
import tomllib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import tomli_w
from fuzz.cases import asked

import scenarios
from twin.cli import main
from twin.studies.scenario import load, parse

READ, RUN = 2_500, 40
LONGEST = 4_000  # characters of a sentence; the longest list every key of a protocol

SHIPPED = [tomllib.loads(path.read_text()) for path in sorted(Path(scenarios.__file__).parent.rglob("*.toml"))]
FIT = {"kind": "fit", "name": "f", "data": "none.csv", "inference": {"models": ["reinforce"], "features": ["stimulus"]}}
RANDOM = {
    "kind": "cohort",
    "name": "r",
    "cohort": {"mice": 2, "rule": "rnn", "network": {"seed": 1, "strength": 0.4, "parameters": {"forgetting": 0.01}}},
    "protocol": {"stages": [{"contrasts": [1, 0.5], "advance": {"trials": 9}}, {"contrasts": [1], "blocks": {"low": 9}}]},
    "run": {"until": "trained_1a", "horizon": 2, "then": ["biased", {"protocol": {"base": "ephys"}, "horizon": 1}]},
}
BASES = [*SHIPPED, FIT, RANDOM]

VALUES: list[Any] = [
    *(0, 1, -1, 3, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.5, 1e6, 1e300, -1e300, 1e-320),
    *(float("nan"), float("inf"), -float("inf"), True, False),
    *("", " ", "x", "..", ".", "/", "../x", "a\nb", "a\x00b", "m\u016bs \U0001f42d", "x" * 5000, "ibl-2019", "static"),
    *([], {}, [[]], [{}], {"": 1}, {"a": {"b": {}}}, ["x", 1, None], [1, 1, 1], {"x": 1}, None),
    *({"distribution": "normal"}, {"distribution": 3}, {"mean": 0, "sd": 1}, {"distribution": {}, "mean": 1}),
    *({"stimulus": {"mean": 0, "sd": 1}}, {"distribution": "normal", "mean": 1e9, "sd": 1e-9}, {"base": []}),
    {"distribution": "choice", "values": [0.01, 5.0]},
    {"distribution": "lognormal", "median": 1e308, "sigma": 1e308},
]
KEYS = ["", " ", "x", "kind", "name", "base", "model", "mice", "stages", "every_stage", "rate", "\u00e9", "a\nb", "x" * 3000]
TEXTS = [
    *("", "1", ".1", "1.", "+.5", "-.5e3", "True", "False", "none", "nan", "inf", "1" * 5000, "0x" + "f" * 5000, "\x00"),
    *("[", "{", "[.1, 1.]", "{a=.5}", '"', "'", "a=b", "1\ny = 2", "# no", "1979-05-27", "\u00e9\u4e2d", "x" * 5000),
    *("[" * 5000, "[" * 5000 + "]" * 5000, "{a=" * 3000 + "1" + "}" * 3000, "{a.a.a.a = 1}"),
]


def places(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a table."""
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    return [found for key, value in items for found in ((*path, key), *places(value, (*path, key)))]


def at(table: Any, path: tuple[Any, ...]) -> Any:
    """The value under a path."""
    for key in path:
        table = table[key]
    return table


def deep(draw: random.Random) -> Any:
    """Lists or tables inside each other."""
    value: Any = 1
    for _ in range(draw.choice([5, 100, 400])):
        value = draw.choice([[value], {"a": value}])
    return value


def change(table: dict[str, Any], draw: random.Random) -> None:
    """Change one thing of a table, in place."""
    every = places(table)
    if not every:
        return
    *path, key = draw.choice(every)
    inside = at(table, tuple(path))
    how = draw.randrange(8)
    if how == 0:
        inside[key] = copy.deepcopy(draw.choice(VALUES))
    elif how == 1:
        del inside[key]
    elif how == 2 and isinstance(inside, dict):
        inside[draw.choice([*KEYS, f"{key}s", str(key)[1:]])] = inside.pop(key)
    elif how == 3 and isinstance(inside, dict):
        inside[draw.choice(KEYS)] = copy.deepcopy(draw.choice(VALUES))
    elif how == 4:
        inside[key] = draw.choice([[inside[key]], {"x": inside[key]}, {draw.choice(KEYS): inside[key]}])
    elif how == 5:
        other = draw.choice(BASES)
        inside[key] = copy.deepcopy(at(other, draw.choice(places(other))))
    elif how == 6 and isinstance(inside[key], int | float) and not abs(inside[key]) > 1e300:
        inside[key] = inside[key] * draw.choice([-1, 0, 0.5, 1e6, 1e-6, 10**20])
    else:
        inside[key] = deep(draw) if draw.random() < 0.2 else copy.deepcopy(draw.choice(VALUES))


def changed_text(text: str, draw: random.Random) -> str:
    """A file with a few characters or lines gone, doubled or replaced."""
    for _ in range(draw.randrange(1, 4)):
        lines = text.splitlines(keepends=True)
        where = draw.randrange(len(text) + 1)
        text = draw.choice(
            [
                text[:where] + text[where + draw.randrange(1, 5) :],
                text[:where] + draw.choice(["=", "[", "]", '"', ".", "\n", "\x00", "\u00e9", "[[", "'''"]) + text[where:],
                "".join([*lines[: len(lines) // 2], draw.choice(lines or [""]), *lines[len(lines) // 2 :]]),
            ]
        )
    return text


def settings(table: dict[str, Any], draw: random.Random) -> list[str]:
    """Some values of --set."""
    every = [".".join(map(str, path)) for path in places(table)] or ["seed"]
    keys = [*every, draw.choice(every) + ".x", draw.choice(KEYS), ".", "a." * 3000 + "a"]
    return [draw.choice(keys) + draw.choice(["=", "=", "= ", ""]) + draw.choice(TEXTS) for _ in range(draw.randrange(4))]


def read(folder: Path, draw: random.Random) -> str:
    """Read one scenario at random: "study", or the kind of its refusal. Raises what else goes wrong."""
    table = copy.deepcopy(draw.choice(BASES))
    for _ in range(draw.randrange(4)):
        change(table, draw)
    try:
        try:
            text = tomli_w.dumps(table)
        except (TypeError, ValueError, RecursionError):  # TOML has no such values
            parse(table, "at random", folder)
            return "study"
        path = folder / "random.toml"
        path.write_bytes((changed_text(text, draw) if draw.random() < 0.2 else text).encode())
        load(path, settings(table, draw) if draw.random() < 0.5 else ())
    except (ValueError, FileNotFoundError) as error:
        check_sentence(str(error))
        return type(error).__name__
    return "study"


def tiny(draw: random.Random) -> dict[str, Any]:
    """A scenario at random that takes no time to run; most are studies."""
    table = changed_a_little(draw)
    while draw.random() < 0.9:
        try:
            parse(table, "tiny")
        except ValueError:
            table = changed_a_little(draw)
        else:
            break
    return table


def changed_a_little(draw: random.Random) -> dict[str, Any]:
    """A tiny scenario whose mice and protocols are changed at random."""
    table: dict[str, Any] = copy.deepcopy(draw.choice([base for base in BASES if base["kind"] != "fit"]))
    for key in [key for key in ("cohort", "protocol", "designs") if key in table]:
        for _ in range(draw.randrange(3)):
            change(table[key], draw)
    if isinstance(table["cohort"].get("mice"), int):
        table["cohort"]["mice"] = draw.randrange(1, 4)
    table["run"] = {"trials": draw.choice([1, 2, 30, 100])}
    if table["kind"] == "designs":
        table["run"] = {"until": "trained_1a", "horizon": 1}
    if table["kind"] == "baselines":
        table["variants"] = dict(draw.sample(sorted(table["variants"].items()), 2))
        table["inference"] = {"models": ["reinforce-baseline"]}
        table["features"] = {}
    if table["kind"] == "recovery":
        table["inference"] = {"models": draw.sample(["reinforce", "static-glm", "reinforce-baseline", "random-walk"], 2)}
    return table


def run(folder: Path, draw: random.Random) -> str:
    """Run one tiny scenario at random: "results" or "refused". Raises AssertionError for anything else."""
    path = folder / "tiny.toml"
    try:
        path.write_text(tomli_w.dumps(tiny(draw)))
    except (TypeError, ValueError, RecursionError):
        return "not TOML"
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("error")
        with tempfile.TemporaryDirectory(dir=folder) as out:
            status = main(["run", str(path), "--out", str(Path(out) / "run"), "--engine", "serial", "--workers", "1"])
    lines = [line for line in said.getvalue().splitlines() if "twin: " in line]
    assert status in (0, 2), f"status {status}: {lines}\n{path.read_text()}"
    assert len(lines) == (status != 0), lines
    return "refused" if status else "results"


def check_sentence(text: str) -> None:
    """Raise AssertionError unless the text is one short paragraph."""
    assert text.strip() and "\n" not in text and len(text) < LONGEST, text[:500]


def fuzz(n_read: int, n_run: int, seed: int = 1) -> Counter[str]:
    """Read and run so many scenarios; what came of them, by kind, and how each that failed did."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for what, n in ((read, n_read), (run, n_run)):
            for i in range(n):
                try:
                    found[what(Path(folder), random.Random(f"{seed} {what.__name__} {i}"))] += 1
                except Exception as error:
                    found[f"FAILED, {what.__name__} {i}: {type(error).__name__}: {str(error)[:1000]}"] += 1
    return found


if __name__ == "__main__":
    options = asked(__doc__ or "", read=READ, run=RUN)
    came_of_them = fuzz(options.read, options.run, options.seed)
    for outcome, count in came_of_them.items():
        print(f"{count:5d} {outcome}")
    sys.exit(any(outcome.startswith("FAILED") for outcome in came_of_them))
