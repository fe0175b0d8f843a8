"""The command line: parse, call, report. Everything heavy is imported by the command that needs it.

Each command is two functions: one that declares its arguments, one that carries it out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from envs.protocols import Protocol
    from twin.studies.study import Options, Study


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0 when done, 1 when it failed while running, 2 when the command or its input is wrong."""
    options = _parser().parse_args(arguments)
    try:
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
    for declare in (_declare_run, _declare_fit, _declare_files, _declare_report, _declare_bench):
        declare(commands)
    return parser


def _command(commands: Any, name: str, call: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=call)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def _not_negative(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of at least 0")
    return int(text)


def _declare_run(commands: Any) -> None:
    run = _command(commands, "run", _run, "Run a scenario; run it again to go on where it stopped.")
    run.add_argument("scenario", type=Path, help="TOML file, or the name of a scenario that comes with twin: quickstart")
    run.add_argument("--out", type=Path, help="run folder (default: runs/<scenario name>)")
    run.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change a key of the scenario")
    run.add_argument("--workers", type=_positive, default=2, help="workers that simulate side by side")
    run.add_argument("--engine", default="threads", help="what the workers are: serial, threads or processes")
    run.add_argument("--dry-run", action="store_true", help="check the scenario, print it with every default, and stop")


def _run(options: argparse.Namespace) -> None:
    from twin.studies.scenario import load, to_toml
    from twin.studies.study import Options

    how = Options(progress=True, workers=options.workers, engine=options.engine)
    study = load(options.scenario, options.set)
    if options.dry_run:
        print(to_toml(study), end="")
        return
    _run_study(study, options.out or Path("runs") / study.name, how)


def _run_study(study: Study, out: Path, options: Options) -> None:
    from twin.studies.run import run

    print(run(study, out, options).summary())
    print(f"\nreport: {out / 'report.html'}   numbers: {out / 'results.json'}")


def _declare_fit(commands: Any) -> None:
    fit = _command(commands, "fit", _fit, "Fit models to behaviour, in a file of any known format.")
    fit.add_argument("data", type=Path)
    fit.add_argument("--model", action="append", required=True, help="model to fit; may be repeated")
    fit.add_argument("--future", type=_count, default=0, metavar="N", help="predict the last N trials of each mouse")
    fit.add_argument("--folds", type=_count, default=0, metavar="N", help="predict each of N folds of mice from the others")
    fit.add_argument("--features", help="comma-separated features of the models (default: stimulus,bias)")
    fit.add_argument("--out", type=Path, help="run folder (default: runs/fit-<name of the data>)")
    fit.add_argument("--set", action="append", default=[], metavar="MODEL.KEY=VALUE", help="a setting, e.g. dnnglm.hidden=64")


def _fit(options: argparse.Namespace) -> None:
    from twin.data.formats import read
    from twin.studies.scenario import apply_changes, parse
    from twin.studies.study import Options

    read(options.data)  # whatever is wrong with the file is said before anything is made
    inference: dict[str, Any] = {"models": list(dict.fromkeys(options.model))}
    if options.features is not None:
        inference["features"] = [name.strip() for name in options.features.split(",")]
    apply_changes(inference, options.set)
    table = {
        "kind": "fit",
        "name": f"fit-{re.sub(r'[^0-9A-Za-z_-]+', '-', options.data.name.split('.')[0])[:80]}",
        "data": str(options.data),
        "future": options.future,
        "folds": options.folds,
        "inference": inference,
    }
    study = parse(table, "twin fit")
    _run_study(study, options.out or Path("runs") / study.name, Options(progress=True, workers=1))


def _declare_files(commands: Any) -> None:
    convert = _command(commands, "import", _import, "Turn a file of behaviour into an HDF5 rollout.")
    convert.add_argument("source", type=Path)
    convert.add_argument("destination", type=Path)
    convert.add_argument("--overwrite", action="store_true", help="replace the destination if it is an HDF5 rollout")
    export = _command(commands, "export", _export, "Write the trials of a file in another format, for other programs.")
    export.add_argument("source", type=Path)
    export.add_argument("destination", type=Path)
    export.add_argument("--overwrite", action="store_true", help="replace the destination if it was made by `twin export`")
    export.add_argument("--format", help="format to write (default: by the ending of the destination's name)")
    info = _command(commands, "info", _info, "Say what an HDF5 rollout holds.")
    info.add_argument("file", type=Path)
    words = "Check an HDF5 rollout against its content hash, and behaviour against protocols."
    verify = _command(commands, "verify", _verify, words)
    verify.add_argument("file", type=Path, help="HDF5 rollout; with --against a file of any known format")
    verify.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="PROTOCOL",
        help="say for each session in which fraction of trials it agrees with a protocol (name or TOML file); may be repeated",
    )
    words = "stage that every record begins in, from 0 (default: the one that explains its first session best)"
    verify.add_argument("--stage", type=_not_negative, metavar="N", help=words)


def _import(options: argparse.Namespace) -> None:
    _convert(options, "hdf5")


def _export(options: argparse.Namespace) -> None:
    _convert(options, options.format)


def _convert(options: argparse.Namespace, format: str | None) -> None:
    from twin.data.formats import check_destination, detect, write

    destination = options.destination
    form = detect(options.source)
    check_destination(destination, format, options.overwrite, options.source)
    rollout = form.read(options.source)
    _say(rollout.notes)
    write(rollout, destination, format, options.overwrite)
    print(f"{destination}: {rollout.n_mice} mice, {len(rollout.sessions.start)} sessions, {len(rollout)} trials")


def _say(notes: list[str]) -> None:
    """What was made of a file, where results do not get in its way."""
    for note in notes:
        print(f"twin: note: {note}", file=sys.stderr)


def _info(options: argparse.Namespace) -> None:
    import json

    from twin.data.store import describe

    print(json.dumps(describe(options.file), indent=1))


def _verify(options: argparse.Namespace) -> None:
    from twin.data.formats import detect

    if options.stage is not None and not options.against:
        raise ValueError(f"--stage {options.stage} is of a protocol; name it by --against PROTOCOL")
    protocols = [_protocol(name) for name in dict.fromkeys(options.against)]
    form = detect(options.file)
    if form.verify:
        print(f"{options.file}: whole and unchanged (sha256 {form.verify(options.file)})")
    elif not protocols:
        raise ValueError(f"{options.file}: a file in the format {form.name} holds no content hash; expected --against PROTOCOL")
    if protocols:
        from twin.replay import agreement
        from twin.report.tables import text_table

        rollout = form.read(options.file)
        _say(rollout.notes)
        header, rows, found = agreement(rollout, protocols, options.stage)
        print(*text_table(header, rows), *found, sep="\n")


def _protocol(name: str) -> Protocol:
    """A protocol by its name, or that of a TOML file, called like the file unless it says its name."""
    import tomllib

    from envs.protocols import load_protocol, read_protocol

    if not name.endswith(".toml"):
        return load_protocol(name)
    protocol = read_protocol(name)
    named = "name" in tomllib.loads(Path(name).read_text())
    return protocol if named else protocol.model_copy(update={"name": Path(name).stem})


def _declare_report(commands: Any) -> None:
    report = _command(commands, "report", _report, "Make the figures and the page of a run folder again.")
    report.add_argument("folder", type=Path)


def _report(options: argparse.Namespace) -> None:
    from twin.studies.scenario import load
    from twin.studies.study import Options

    if not (options.folder / "scenario.toml").is_file():
        raise FileNotFoundError(f"{options.folder}: not a run folder: it holds no scenario.toml; expected the --out of a run")
    _run_study(load(options.folder / "scenario.toml"), options.folder, Options(progress=True, workers=1))


def _declare_bench(commands: Any) -> None:
    bench = _command(commands, "bench", _bench, "Measure the speed of every hot path on this machine.")
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


if __name__ == "__main__":
    sys.exit(main())
