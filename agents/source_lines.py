"""The line of a user's function that an error is about, as it stands in a file or in a cell of a notebook."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

_NUMBA = re.compile(r'File "(.+?)", line (\d+)')  # where numba says that it could not go on


def failing_line(function: Callable[..., Any], error: BaseException) -> str:
    """The line of a function that raised an error; empty if it was raised before the function began."""
    code = getattr(function, "__code__", None)
    lines = [trace.tb_lineno for trace in _traces(error.__traceback__) if trace.tb_frame.f_code is code]
    return _told(code.co_filename, lines[-1]) if code and lines else ""


def _traces(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def numba_line(function: Callable[..., Any], message: str) -> str:
    """The line of a function's file that an error message of numba's names last; empty if it names none."""
    file = inspect.unwrap(function).__code__.co_filename
    lines = [int(number) for other, number in _NUMBA.findall(message) if Path(other).name == Path(file).name]
    return _told(file, lines[-1]) if lines else ""


def returning_line(function: Callable[..., Any], calls: Collection[str] = ()) -> str:
    """The line of a function with a call of one of these names, or else where it returns; empty if its source is not there."""
    try:
        source, first = inspect.getsourcelines(function)
    except (OSError, TypeError):  # nothing that was written in a file or a cell
        return ""
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent("".join(source)))))
    except SyntaxError:  # of a lambda, the lines around it
        nodes = []
    called = [node.lineno for node in nodes if isinstance(node, ast.Call) and _name(node.func) in calls]
    returned = [node.lineno for node in nodes if isinstance(node, ast.Return)]
    number = max(first, 1) - 1 + ([*called[:1], *returned[-1:], 1])[0]
    return _told(inspect.getsourcefile(function) or "", number)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _told(file: str, number: int) -> str:
    """A line as an error ends with it."""
    text = linecache.getline(file, number).strip()
    return f"; line {number} of {Path(file).name}: `{text}`" if text else ""
