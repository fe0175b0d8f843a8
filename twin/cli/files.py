"""Commands that turn, describe and check files of behaviour."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.cli.arguments import add_command, asked_columns, count, declare_columns, say

if TYPE_CHECKING:
    from envs.protocols import Protocol


def declare_files(commands: Any) -> None:
    """`twin import`, `export`, `merge`, `info` and `verify`."""
    convert = add_command(commands, "import", _import, "Turn a file of behaviour into an HDF5 rollout.")
    convert.add_argument("source", type=Path)
    convert.add_argument("destination", type=Path)
    convert.add_argument("--overwrite", action="store_true", help="replace the destination if it is an HDF5 rollout")
    declare_columns(convert)
    export = add_command(commands, "export", _export, "Write the trials of a file in another format, for other programs.")
    export.add_argument("source", type=Path)
    export.add_argument("destination", type=Path)
    export.add_argument("--overwrite", action="store_true", help="replace the destination if it was made by `twin export`")
    export.add_argument("--format", help="format to write (default: by the ending of the destination's name)")
    declare_columns(export)
    words = "Make one HDF5 rollout of several, or of a folder of shards; no more than a shard is in memory."
    merge = add_command(commands, "merge", _merge, words)
    merge.add_argument("source", type=Path, nargs="+", help="HDF5 rollout or folder of shards, in the order of the mice")
    merge.add_argument("destination", type=Path)
    merge.add_argument("--overwrite", action="store_true", help="replace the destination if it is an HDF5 rollout")
    info = add_command(commands, "info", _info, "Say what an HDF5 rollout or a folder of shards holds.")
    info.add_argument("file", type=Path)
    words = "Check an HDF5 rollout or a folder of shards against its content hash, and behaviour against protocols."
    verify = add_command(commands, "verify", _verify, words)
    verify.add_argument("file", type=Path, help="HDF5 rollout; with --against a file of any known format")
    verify.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="PROTOCOL",
        help="say for each session in which fraction of trials it agrees with a protocol (name or TOML file); may be repeated",
    )
    words = "stage that every record begins in, from 0 (default: the one that explains its first session best)"
    verify.add_argument("--stage", type=count, metavar="N", help=words)
    words = "simulated mice, at random, that are simulated again and compared bit for bit (default: 3, with --against 0)"
    verify.add_argument("--again", type=count, metavar="N", help=words)
    declare_columns(verify)


def _import(options: argparse.Namespace) -> None:
    _convert(options, "hdf5")


def _export(options: argparse.Namespace) -> None:
    _convert(options, options.format)


def _convert(options: argparse.Namespace, format: str | None) -> None:
    from twin.data.formats import check_destination, detect, lost, read, write

    destination = options.destination
    detect(options.source)
    form = check_destination(destination, format, options.overwrite, options.source)
    rollout = read(options.source, asked_columns(options), options.choice_left)
    say([*rollout.notes, *lost(rollout, form)])
    write(rollout, destination, format, options.overwrite)
    print(f"{destination}: {rollout.n_mice} mice, {len(rollout.sessions.start)} sessions, {len(rollout)} trials")


def _merge(options: argparse.Namespace) -> None:
    from twin.data.formats import check_destination
    from twin.data.store import StoredRollout, write_rollout

    for source in options.source:
        check_destination(options.destination, "hdf5", options.overwrite, source)
    stored = StoredRollout.merged([StoredRollout.open(source) for source in options.source])
    write_rollout(stored, options.destination, stored.files[0].outline.scenario)
    print(f"{options.destination}: {stored.n_mice} mice, {len(stored.sessions.start)} sessions, {len(stored)} trials")


def _info(options: argparse.Namespace) -> None:
    import json

    from twin.data.store import describe

    print(json.dumps(describe(options.file), indent=1))


def _verify(options: argparse.Namespace) -> None:
    from twin.data.formats import detect, read

    if options.stage is not None and not options.against:
        raise ValueError(f"--stage {options.stage} is of a protocol; name it by --against PROTOCOL")
    protocols = [_protocol(name) for name in dict.fromkeys(options.against)]
    form = detect(options.file)
    if form.verify:
        print(f"{options.file}: whole and unchanged (sha256 {form.verify(options.file)})")
        if mice := (0 if protocols else 3) if options.again is None else options.again:
            _simulate_again(options.file, mice)
    elif not protocols:
        raise ValueError(f"{options.file}: a file in the format {form.name} holds no content hash; expected --against PROTOCOL")
    if protocols:
        from twin.replay import agreement
        from twin.report.tables import text_table

        rollout = read(options.file, asked_columns(options), options.choice_left)
        say(rollout.notes)
        header, rows, found = agreement(rollout, protocols, options.stage)
        print(*text_table(header, rows), *found, sep="\n")


def _simulate_again(path: Path, mice: int) -> None:
    """Simulate some mice of a file of the store again, if they were simulated here."""
    from twin.data.rollout import Rollout
    from twin.simulation.again import check_again

    rollout = Rollout.open(path)
    if "cohort" in rollout.origin:
        print(f"{path}: {check_again(rollout, mice)}")


def _protocol(name: str) -> Protocol:
    """A protocol by its name, or that of a TOML file, called like the file unless it says its name."""
    import tomllib

    from envs.protocols import load_protocol, read_protocol

    if not name.endswith(".toml"):
        return load_protocol(name)
    protocol = read_protocol(name)
    named = "name" in tomllib.loads(Path(name).read_text())
    return protocol if named else protocol.model_copy(update={"name": Path(name).stem})
