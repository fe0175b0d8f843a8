"""Commands that run studies, draw their pages again, and measure speed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.cli.arguments import add_command, asked_columns, count, declare_columns, declare_quiet, positive, say

if TYPE_CHECKING:
    from twin.studies.study import Options, Study


def declare_run(commands: Any) -> None:
    """`twin run`."""
    run = add_command(commands, "run", _run, "Run a scenario; run it again to go on where it stopped.")
    run.add_argument("scenario", type=Path, help="TOML file, or the name of a scenario that comes with twin: quickstart")
    run.add_argument("--out", type=Path, help="run folder (default: runs/<scenario name>)")
    run.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change a key of the scenario")
    run.add_argument("--workers", type=positive, default=2, help="workers that simulate side by side")
    run.add_argument("--engine", default="threads", help="what the workers are: serial, threads, processes or dask")
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="with --engine dask: a scheduler that runs already (tcp://host:8786)"
    )
    words = "simulate only every n-th shard from the i-th on (from 0), as one of n jobs; a run without it puts them together"
    run.add_argument("--shard", type=_part, metavar="I/N", help=words)
    run.add_argument("--no-weights", action="store_true", help="do not keep the weights of each trial (run.weights = false)")
    words = "check the scenario, print it with every default and what it takes of disk, memory and time, and stop"
    run.add_argument("--dry-run", action="store_true", help=words)
    declare_quiet(run)


def _run(options: argparse.Namespace) -> None:
    from twin.studies.scenario import load, to_toml
    from twin.studies.study import Options

    if options.scheduler and options.engine != "dask":
        raise ValueError(f"--scheduler {options.scheduler}: is of --engine dask, not of --engine {options.engine}")
    engine = f"dask:{options.scheduler}" if options.scheduler else options.engine
    how = Options(progress=not options.quiet, workers=options.workers, engine=engine)
    study = load(options.scenario, [*options.set, *(["run.weights=false"] if options.no_weights else [])])
    out = options.out or Path("runs") / study.name
    if options.dry_run:
        from twin.studies.plan import plan_lines

        print(to_toml(study), end="")
        print(*(f"# {line}" for line in plan_lines(study, out, how)), sep="\n")
    elif options.shard is not None:
        from twin.studies.lock import Part
        from twin.studies.run import run_part

        print(run_part(study, out, Part(*options.shard), how))
    else:
        run_study(study, out, how)


def _part(text: str) -> tuple[int, int]:
    """Which of how many parts."""
    number, slash, parts = text.partition("/")
    if not (slash and number.isdecimal() and parts.isdecimal() and int(number) < int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N, part I of N, I from 0 to N - 1: 0/4, 1/4, 2/4, 3/4")
    return int(number), int(parts)


def run_study(study: Study, out: Path, options: Options) -> None:
    """Run a study and print what comes of it."""
    from twin.studies.run import run

    results = run(study, out, options)
    if options.progress:
        print(results.summary())
        print(f"\nreport: {out / 'report.html'}   numbers: {out / 'results.json'}")


def declare_fit(commands: Any) -> None:
    """`twin fit`."""
    fit = add_command(commands, "fit", _fit, "Fit models to behaviour, in a file of any known format.")
    fit.add_argument("data", type=Path)
    fit.add_argument("--model", action="append", required=True, help="model to fit; may be repeated")
    fit.add_argument("--future", type=count, default=0, metavar="N", help="predict the last N trials of each mouse")
    fit.add_argument("--folds", type=count, default=0, metavar="N", help="predict each of N folds of mice from the others")
    words = "with --folds: find a new mouse's own parameters by its first K sessions, and predict the later ones"
    fit.add_argument("--adapt", type=count, default=0, metavar="K", help=words)
    fit.add_argument("--features", help="comma-separated features of the models (default: stimulus,bias)")
    fit.add_argument("--out", type=Path, help="run folder (default: runs/fit-<name of the data>)")
    declare_columns(fit)
    declare_quiet(fit)
    fit.add_argument("--set", action="append", default=[], metavar="MODEL.KEY=VALUE", help="a setting, e.g. dnnglm.hidden=64")


def _fit(options: argparse.Namespace) -> None:
    from twin.data.formats import read
    from twin.studies.scenario import apply_changes, parse
    from twin.studies.study import Options

    columns = asked_columns(options)
    # whatever is wrong with the file is said before anything is made
    say(read(options.data, columns, options.choice_left).notes)
    inference: dict[str, Any] = {"models": list(dict.fromkeys(options.model))}
    if options.features is not None:
        inference["features"] = [name.strip() for name in options.features.split(",")]
    apply_changes(inference, options.set)
    table = {
        "kind": "fit",
        "name": f"fit-{re.sub(r'[^0-9A-Za-z_-]+', '-', options.data.absolute().name.split('.')[0])[:80]}",
        "data": str(options.data),
        "future": options.future,
        "folds": options.folds,
        "adapt": options.adapt,
        "columns": columns,
        "inference": inference,
    }
    if options.choice_left is not None:
        table["choice_left"] = options.choice_left
    study = parse(table, "twin fit")
    run_study(study, options.out or Path("runs") / study.name, Options(progress=not options.quiet, workers=1))


def declare_report(commands: Any) -> None:
    """`twin report`."""
    report = add_command(commands, "report", _report, "Make the figures and the page of a run folder again.")
    report.add_argument("folder", type=Path)
    declare_quiet(report)


def _report(options: argparse.Namespace) -> None:
    from twin.studies.scenario import load
    from twin.studies.study import Options

    if not (options.folder / "scenario.toml").is_file():
        raise FileNotFoundError(f"{options.folder}: not a run folder: it holds no scenario.toml; expected the --out of a run")
    study = load(options.folder / "scenario.toml", imports=False)
    run_study(study, options.folder, Options(progress=not options.quiet, workers=1))


def declare_bench(commands: Any) -> None:
    """`twin bench`."""
    bench = add_command(commands, "bench", _bench, "Measure the speed of every hot path on this machine.")
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")
    bench.add_argument("--quick", action="store_true", help="smaller sizes; under a minute")


def _bench(options: argparse.Namespace) -> None:
    import json

    from twin.bench import bench

    results = bench(quick=options.quick)
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for row in results["results"]:
        print(f"{row['name']:28s} {row['value']:14.4g} {row['unit']:22s} {row['settings']}")
