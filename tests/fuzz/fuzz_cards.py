"""Fuzz the cards of fits: a valid one of every kind is changed, and loading it must give a fit or one sentence.

    PYTHONPATH=tests python tests/fuzz/fuzz_cards.py [--seed 1] [--cases 200]

A case changes one or two keys of the JSON at any depth, its text, or the weights of the network. Exits with 1 if a case ends in
anything else, takes more than `LIMIT` seconds, or more than `MEMORY` bytes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.cases import Found, asked, report, run_cases
from networks import neural_rule

from agents.neural.ensemble import Ensemble
from agents.neural.registry import NEURAL_RULES
from agents.rules import RULES
from agents.theta import Layout
from twin.inference.card import load_fit
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History
from twin.inference.noise.levels import Noise

LIMIT = 20  # seconds
MEMORY = 6 << 30  # bytes of address space, of which torch takes the most
SEEN = ("stimulus", "bias")
IDS = ("a", "b", "c")
VALUES: tuple[Any, ...] = (
    *(None, [], {}, "", "x", 0, -1, 1, 1.5, 10**6, 10**12, 10**400, True, False, float("nan"), float("inf"), "inf"),
    *(
        [[]],
        [[[0.0]]],
        [None],
        {"a": 1},
        "reinforce",
        "window",
        "dnnglm",
        "neural",
        "closed-form",
        ["stimulus"],
        ["bias", "bias"],
    ),
    *("\x00", "é" * 1000, [0.0] * 1000, [[0.0] * 7] * 3),
)


def valid(folder: Path) -> list[Path]:
    """Folders of valid fits: closed-form rules with and without memory, every kind of network, an ensemble."""
    fits: list[RuleFit | NeuralFit] = []
    for model, rule in (("reinforce-baseline", "reinforce-baseline"), ("window", "window"), ("static-glm", "static")):
        layout = Layout(RULES[rule], SEEN)
        theta, ends = np.tile(layout.defaults(), (3, 1)), np.full((3, len(layout.names), 2), np.nan)
        fits.append(RuleFit(layout, theta, ends, np.ones(3), np.ones(3, bool), IDS, model, {"noise": False}, "0" * 64))
    for kind in NEURAL_RULES:
        for members in (1, 2) if kind == "rnnglm" else (1,):
            rules = [neural_rule(kind, SEEN, seed, hidden=4) for seed in range(members)]
            histories = (History([0.7, 0.6], [0.7, 0.6], 1),) * members
            rule = rules[0] if members == 1 else Ensemble(rules)
            noise = Noise(np.full(2, 0.1), np.full(2, 0.1)) if kind == "dnnglm" else None
            fits.append(NeuralFit(rule, np.zeros((3, 2)), IDS, kind, histories, {}, noise, "0" * 64))
    for i, done in enumerate(fits):
        done.save(folder / str(i), {"seconds": 1.0, "trials": 100, "versions": {"numpy": "2"}})
    return [folder / str(i) for i in range(len(fits))]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside a table, itself included."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in places(part, (*path, key)))]


def changed(card: Any, draw: np.random.Generator) -> tuple[Any, str]:
    """A card with one thing different; keys near the top are as likely as all that are deeper."""
    every = places(card)
    depth = int(draw.integers(4))
    near = [place for place in every if len(place) == depth] or every
    place, value = near[draw.integers(len(near))], VALUES[draw.integers(len(VALUES))]
    if not place:
        return value, f"all = {str(value)[:30]}"
    inside = card
    for key in place[:-1]:
        inside = inside[key]
    how = draw.integers(4)
    if how == 0:
        del inside[place[-1]]
    elif how == 1 and isinstance(inside, list):
        inside.append(value)
    elif how == 2 and isinstance(inside, dict):
        inside["extra"] = value
    else:
        inside[place[-1]] = value
    return card, f"{how} {place} {str(value)[:30]}"


def damage(folder: Path, draw: np.random.Generator) -> str:
    """Change something of a fit in its folder; returns what."""
    file = folder / "card.json"
    how = draw.random()
    if how < 0.75:
        card, what = json.loads(file.read_text()), []
        for _ in range(1 + int(draw.integers(2))):
            card, change = changed(card, draw)
            what.append(change)
        file.write_text(json.dumps(card))
        return "; ".join(what)
    weights = folder / "model.safetensors"
    file = weights if weights.is_file() and how < 0.9 else file
    content = bytearray(file.read_bytes())
    at = int(draw.integers(min(len(content), 2000)))
    if draw.random() < 0.5:
        content = content[:at]
    else:
        content[at] ^= 1 << int(draw.integers(8))
    file.write_bytes(content)
    return f"{file.name} at {at}"


def outcome(folder: Path) -> str:
    """What loading comes to: "read" or "refused". Raises AssertionError for a message that is no sentence of a file."""
    try:
        load_fit(folder)
    except (ValueError, FileNotFoundError, OSError) as error:
        message = str(error)
        assert message.startswith(str(folder)) and "\n" not in message and len(message) < 4000, message
        return "refused"
    return "read"


def run(cases: int, seed: int, folder: Path) -> Found:
    """Outcomes of so many cases, and what went wrong."""
    fits, copy = valid(folder), folder / "case"

    def damaged(case: int, draw: np.random.Generator) -> tuple[str, Callable[[], str]]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(fits[case % len(fits)], copy)
        return damage(copy, draw), partial(outcome, copy)

    return run_cases(cases, seed, LIMIT, damaged)


def main() -> int:
    """Run the cases and print what came of them; the exit status."""
    options = asked(__doc__ or "", cases=200)
    return report(run, options.cases, options.seed, MEMORY)


if __name__ == "__main__":
    sys.exit(main())
