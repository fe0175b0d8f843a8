"""Commands that list what there is, write a scenario to begin with, and say what to do first."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.cli.arguments import add_command

if TYPE_CHECKING:
    from envs.protocols import Protocol

FIRST = """\
twin simulates mice that learn, and finds out how mice learn. To begin:

  twin run quickstart                 64 virtual mice learn; their rule is found again (minutes)
  twin new cohort > mine.toml         a commented scenario to change, then: twin run mine.toml
  twin fit trials.csv --model reinforce-baseline
                                      how your own mice learn, from a file of their trials
  twin models | rules | features | protocols | statistics | scenarios
                                      what there is, a line each
  twin COMMAND --help                 what a command takes
"""


def declare_lists(commands: Any) -> None:
    """`twin models`, `rules`, `features`, `protocols`, `statistics`, `scenarios` and `new`."""
    for name, (_, words) in _LISTS.items():
        add_command(commands, name, _list, words).set_defaults(listed=name)
    new = add_command(commands, "new", _new, "Print a commented scenario to begin with: twin new cohort > mine.toml")
    new.add_argument("kind", help="kind of study; a wrong one names those there are")


def _list(options: argparse.Namespace) -> None:
    entries = _LISTS[options.listed][0]()
    width = max(map(len, entries))
    for name, words in entries.items():
        print(f"{name:{width}}  {textwrap.shorten(words, 128 - width, placeholder=' ...')}")


def _models() -> Mapping[str, str]:
    from agents.neural.registry import NEURAL_RULES
    from twin.inference.registry import models

    fixed = {"static-glm": "a Bernoulli GLM, no learning", "random-walk": "weights that move at random, no learning: PsyTrack"}
    networks = {name: NEURAL_RULES[name].__doc__ or "" for name in NEURAL_RULES}
    described = {**fixed, **_rules(), **networks}
    return {name: described[name] for name in models()}


def _rules() -> Mapping[str, str]:
    from agents.rules import RULES

    return {name: _with_parameters(rule.reference, [p.name for p in rule.parameters]) for name, rule in RULES.items()}


def _with_parameters(words: str, parameters: list[str]) -> str:
    return f"{', '.join(parameters) or 'no parameters'}: {words}" if words else ", ".join(parameters)


def _features() -> Mapping[str, str]:
    from agents.features import FEATURES

    return {name: feature.doc for name, feature in FEATURES.items()}


def _protocols() -> Mapping[str, str]:
    from envs.protocols import PROTOCOLS

    return {name: _stages(protocol) for name, protocol in PROTOCOLS.items()}


def _stages(protocol: Protocol) -> str:
    contrasts = ", ".join(f"{contrast:g}" for contrast in protocol.contrasts)
    return f"{len(protocol.stages)} stages ({', '.join(dict.fromkeys(protocol.tasks))}), contrasts {contrasts}"


def _statistics() -> Mapping[str, str]:
    from twin.evaluation.statistics.registry import statistics

    return {name: f"{one.doc} ({one.unit})" for name, one in statistics().items()}


def _scenarios() -> Mapping[str, str]:
    from twin.studies.scenario import bundled

    return {name: _first_comment(path) for name, path in bundled().items()}


def _first_comment(path: Path) -> str:
    """The comment that a scenario opens with, its lines as one."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def _new(options: argparse.Namespace) -> None:
    from twin.studies.template import template

    print(template(options.kind), end="")


_LISTS: dict[str, tuple[Callable[[], Mapping[str, str]], str]] = {
    "models": (_models, "List the models that can be fitted."),
    "rules": (_rules, "List the learning rules that mice can have, with their parameters."),
    "features": (_features, "List the features that drive choices."),
    "protocols": (_protocols, "List the training protocols."),
    "statistics": (_statistics, "List the summary statistics of a cohort."),
    "scenarios": (_scenarios, "List the scenarios that come with twin."),
}
