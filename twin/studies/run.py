"""Running a study of any kind: its folder, its numbers, its page."""

from __future__ import annotations

import json
from pathlib import Path

from twin.data.files import remove_partial, said_of
from twin.studies.cohort import CohortStudy
from twin.studies.folder import RunFolder
from twin.studies.lock import Part, locked
from twin.studies.results import Results
from twin.studies.scenario import load, to_toml
from twin.studies.study import Options, Study

DEFAULTS = Options()


def run(study: Study, out: str | Path, options: Options = DEFAULTS) -> Results:
    """Do what is missing of a study in its folder and return the results.

    A folder of a study that fits other models to the same is gone on with. Raises ValueError if the folder holds another study,
    or data are not what the study needs, and OSError naming a file for which there is no room.
    """

    def continues(before: Path) -> bool:
        try:
            return study.differs_in_models_alone(load(before, imports=False))
        except ValueError:  # of another version, perhaps, or with modules of its own
            return False

    with locked(Path(out)):
        folder = RunFolder(out, to_toml(study), continues)
        remove_partial(folder.path)
        done = study.carry_out(folder, options)
        folder.write("results.json", json.dumps(done.results.table(), indent=1))
        for name, text in done.results.files().items():
            folder.write(name, text)
        with said_of(folder.path / "report.html"):
            done.page()
        folder.log(f"done in {folder.seconds:.1f} s")
        return done.results


def run_part(study: Study, out: str | Path, part: Part, options: Options = DEFAULTS) -> str:
    """Simulate one part of a cohort's shards, of which others may be simulated elsewhere at the same time; what was done.

    `run` in the same folder goes on once all parts are there. Raises ValueError for a study that has no shards.
    """
    if not isinstance(study, CohortStudy):
        raise ValueError(
            f"--shard {part}: a study of kind {study.kind!r} has no shards; expected one of kind 'cohort' or 'recovery'"
        )
    with locked(Path(out), part):
        shards = study.shards(RunFolder(out, to_toml(study)))
        shards.make(options, part)
    return f"{len(shards.mice[part.number :: part.of])} of {len(shards.mice)} shards are there; the run goes on without --shard"
