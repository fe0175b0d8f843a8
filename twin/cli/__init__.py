"""The command line: parse, call, report. Everything heavy is imported by the command that needs it.

Each command is two functions: one that declares its arguments, one that carries it out. Those that run studies are in `runs`,
those that turn and check files in `files`, those that list what there is in `lists`, and `forecast` is a file of its own.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from twin.cli.completion import declare_completion
from twin.cli.files import declare_files
from twin.cli.forecast import declare_forecast
from twin.cli.installed import import_installed
from twin.cli.lists import FIRST, declare_lists
from twin.cli.runs import declare_bench, declare_fit, declare_report, declare_run


def main(arguments: list[str] | None = None) -> int:
    """Run a command; without one, say what to do first.

    Returns 0 when done, 1 when it failed while running, 2 when the command or its input is wrong.
    """
    if not (sys.argv[1:] if arguments is None else arguments):
        print(FIRST, end="")
        return 0
    options = _parser().parse_args(arguments)
    try:
        import_installed()
        options.command(options)
    except KeyboardInterrupt:
        return _failed("interrupted; what is finished is kept, run the same command again to go on", 1)
    except BrokenPipeError:
        return 0
    except ValueError as error:
        if options.debug:
            raise
        return _failed(str(error), 2)
    except OSError as error:
        if options.debug:
            raise
        from twin.data.files import told

        wrong_input = FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError
        return _failed(told(error), 2 if isinstance(error, wrong_input) else 1)
    except Exception as error:
        if options.debug:
            raise
        return _failed(f"{type(error).__name__}: {error} (run again with --debug for the whole story)", 1)
    return 0


def _failed(message: str, status: int) -> int:
    print(f"twin: {' '.join(message.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one paragraph."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command and end with status 2."""
        sys.exit(_failed(f"{message}; see {self.prog} --help", 2))


class _Version(argparse.Action):
    """Prints the version when it is asked for, which takes reading what is installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print, and end the program."""
        from twin import __version__

        print(f"twin {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="twin", description="Virtual mice that learn: simulate cohorts, fit learning rules.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and stop")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    declarations = (declare_run, declare_fit, declare_forecast, declare_files, declare_report, declare_lists, declare_bench)
    for declare in (*declarations, declare_completion):
        declare(commands)
    return parser
