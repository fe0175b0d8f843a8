"""Completion for shells: a script that knows the commands, their options, and the names that they take."""

from __future__ import annotations

import argparse
import re
from functools import partial
from typing import Any

from twin.cli.arguments import add_command

_SCRIPT = """\
_twin() {{
  local words="" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; else
    case "$before" in
{names}
      *) case "${{COMP_WORDS[1]}}" in
{options}
      esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _twin twin
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def declare_completion(commands: Any) -> None:
    """`twin completion`, of all the commands that are declared before it and after."""
    words = 'Print what completes commands in a shell; in its start-up file: eval "$(twin completion bash)"'
    completion = add_command(commands, "completion", partial(_completion, commands), words)
    completion.add_argument("shell", choices=("bash", "zsh"))


def _completion(commands: Any, options: argparse.Namespace) -> None:
    print((_ZSH if options.shell == "zsh" else "") + _script(commands.choices), end="")


def _script(commands: dict[str, argparse.ArgumentParser]) -> str:
    """The script; after a command or option that takes a name, the names there are."""
    from envs.protocols import PROTOCOLS
    from twin.engine import ENGINES
    from twin.inference.registry import models
    from twin.studies import kinds
    from twin.studies.scenario import bundled

    named = {"run": bundled(), "new": kinds(), "--model": models(), "--against": PROTOCOLS, "--engine": ENGINES}
    options = {name: sorted(set(re.findall(r"--[a-z][\w-]*", parser.format_help()))) for name, parser in commands.items()}
    return _SCRIPT.format(commands=" ".join(commands), names=_cases(named), options=_cases(options))


def _cases(words: Any) -> str:
    return "\n".join(f'      {name}) words="{" ".join(every)}" ;;' for name, every in words.items())
