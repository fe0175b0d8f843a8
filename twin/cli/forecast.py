"""The command that forecasts one mouse."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from twin.cli.arguments import add_command, asked_columns, declare_columns, positive


def declare_forecast(commands: Any) -> None:
    """`twin forecast`."""
    words = "Forecast one mouse of a file: its twins go on from where its record ends, and from earlier points as a test."
    forecast = add_command(commands, "forecast", _forecast, words)
    forecast.add_argument("data", type=Path)
    forecast.add_argument("--mouse", metavar="ID", help="whose twins (default: the only one)")
    forecast.add_argument("--sessions", type=positive, default=20, metavar="N", help="sessions to forecast (default: 20)")
    forecast.add_argument("--twins", type=positive, default=200, metavar="N", help="twins (default: 200)")
    forecast.add_argument("--cut", type=positive, metavar="N", help="forget what came after the session of trial N")
    forecast.add_argument("--recorded", metavar="PROTOCOL", help="protocol the mouse was in (default: the record tells)")
    forecast.add_argument("--protocol", metavar="PROTOCOL", help="protocol it goes on under (default: the same)")
    words = "protocol it might go on under, by name, compared with the one it is in; may be repeated"
    forecast.add_argument("--design", action="append", default=[], metavar="PROTOCOL", help=words)
    forecast.add_argument(
        "--backtest", metavar="N,N,...", help="trials from which forecasts are tested (default: three points)"
    )
    forecast.add_argument(
        "--population", default="ibl", help="population it is of: a name or file, or 'estimated' (default: ibl)"
    )
    forecast.add_argument("--out", type=Path, help="run folder (default: runs/forecast-<name of the data>)")
    forecast.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change a key of the scenario")
    declare_columns(forecast)


def _forecast(options: argparse.Namespace) -> None:
    from twin.cli.runs import run_study
    from twin.studies.scenario import apply_changes, parse
    from twin.studies.study import Options

    name = re.sub(r"[^0-9A-Za-z_-]+", "-", options.data.absolute().name.split(".")[0])[:80]
    table: dict[str, Any] = {
        "kind": "twin",
        "name": f"forecast-{name}",
        "data": str(options.data),
        "columns": asked_columns(options),
        "model": {"population": options.population},
        "forecast": {"sessions": options.sessions, "twins": options.twins},
        "backtest": {} if options.backtest is None else {"at": _trials(options.backtest)},
        "designs": {design: {"base": design} for design in options.design},
    }
    for key in ("mouse", "cut", "choice_left"):
        if getattr(options, key) is not None:
            table[key] = getattr(options, key)
    for key in ("recorded", "protocol"):
        if getattr(options, key) is not None:
            table[key] = {"base": getattr(options, key)}
    apply_changes(table, options.set)
    study = parse(table, "twin forecast")
    run_study(study, options.out or Path("runs") / study.name, Options(progress=True))


def _trials(text: str) -> list[int]:
    """Whole numbers with commas between them. Raises ValueError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"--backtest {text}: expected trials with commas between them, such as 3000,5000; or none: ''")
    return [int(part) for part in parts]
