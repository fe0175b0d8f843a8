"""What the commands have in common: arguments, and notes on what was read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any


def add_command(commands: Any, name: str, call: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
    """A command of the program, carried out by `call`."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=call)
    return parser


def declare_quiet(parser: argparse.ArgumentParser) -> None:
    """`--quiet`, of commands that run studies."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but notes on the data, and errors")


def declare_columns(parser: argparse.ArgumentParser) -> None:
    """`--columns` and `--choice-left`, of commands that read tables."""
    words = "columns of a table that have other names, such as choice=resp,stimulus=stim (see docs/formats.md)"
    parser.add_argument("--columns", metavar="QUANTITY=COLUMN,...", help=words)
    parser.add_argument(
        "--choice-left", metavar="VALUE", help="value of the choice that means left, where the data do not tell"
    )


def asked_columns(options: argparse.Namespace) -> dict[str, str]:
    """What `--columns` says."""
    from twin.data.tables.names import parse_columns

    return {} if options.columns is None else parse_columns(options.columns)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def say(notes: list[str]) -> None:
    """What was made of a file, where results do not get in its way."""
    for note in notes:
        print(f"twin: note: {note}", file=sys.stderr)
