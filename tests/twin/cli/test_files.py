"""Turning, describing and checking files from the shell, and what is never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from envs import load_protocol
from twin.cli import main
from twin.cohort import Cohort
from twin.data.formats import read
from twin.data.store import content_hash, read_rollout, write_rollout
from twin.simulation import simulate


def test_import_info_and_verify_of_a_real_mouse(real_mouse, tmp_path, capsys):
    file = tmp_path / "ks014.h5"
    assert main(["import", str(real_mouse), str(file)]) == 0
    assert "1 mice, 15 sessions, 10310 trials" in capsys.readouterr().out
    assert main(["verify", str(file)]) == 0
    assert content_hash(read_rollout(file)) in capsys.readouterr().out
    assert main(["info", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["mice"], told["sessions"], told["trials"]) == (1, 15, 10310)


def test_sessions_are_told_which_protocol_they_followed(tmp_path, capsys):
    write_rollout(simulate(Cohort(mice=2, rule="static"), "ibl-2019", sessions=2), tmp_path / "x.h5")
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "x.h5"), "--against", "ibl-2019", "--against", "ibl-v8"]) == 0
    first, header, *rows = capsys.readouterr().out.splitlines()
    assert "whole and unchanged" in first
    assert header.split() == ["mouse", "session", "trials", "ibl-2019", "ibl-v8", "best"]
    assert [row.split()[:2] for row in rows] == [[f"mouse-000{m}", s] for m in (0, 1) for s in "12"]
    assert all(row.split()[3] == "1.000" and float(row.split()[4]) < 0.9 and row.split()[5] == "ibl-2019" for row in rows)


def test_designs_of_files_keep_their_names_and_stages_are_told(tmp_path, capsys):
    trained = {"base": "ibl-2019", "stages": load_protocol("ibl-2019").table()["stages"][-1:]}
    mice = simulate(Cohort(mice=1, rule="static"), load_protocol(**trained), sessions=2)
    write_rollout(replace(mice, keys=None), tmp_path / "x.h5")
    (tmp_path / "gentle.toml").write_text('base = "ibl-2019"\ndebias_after_no_go = true\n')
    (tmp_path / "named.toml").write_text('base = "ibl-v8"\nname = "my-own"\n')
    against = [part for file in ("gentle", "named") for part in ("--against", str(tmp_path / f"{file}.toml"))]
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "x.h5"), "--against", "ibl-2019", *against]) == 0
    _, header, *rows, told, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["mouse", "session", "trials", "ibl-2019", "gentle", "my-own", "best"]
    assert all(row.split()[3] == "1.000" and "ibl-2019" in row.split()[6] for row in rows)
    assert told == "mouse mouse-0000, session 1: begins in stage 5 of ibl-2019"
    assert main(["verify", str(tmp_path / "x.h5"), "--against", "ibl-2019", "--stage", "5"]) == 0
    assert "begins" not in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "x.h5"), "--against", "ibl-2019", "--stage", "0"]) == 0
    assert all(row.split()[-1] == "none" for row in capsys.readouterr().out.splitlines()[2:])
    assert main(["verify", str(tmp_path / "x.h5"), "--stage", "0"]) == 2
    assert "name it by --against PROTOCOL" in capsys.readouterr().err


def test_verify_says_which_protocol_there_is_not(tmp_path, capsys):
    write_rollout(simulate(Cohort(mice=1, rule="static"), trials=10), tmp_path / "x.h5")
    for wrong, message in (
        ("ibl2019", "did you mean 'ibl-2019'"),
        ("none.toml", "No such file"),
        ("advanced", "nothing to replay"),
    ):
        assert main(["verify", str(tmp_path / "x.h5"), "--against", wrong]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_real_mouse_followed_the_rigs_of_2019(real_mouse, capsys):
    assert main(["verify", str(real_mouse), "--against", "ibl-documented", "--against", "ibl-2019"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 15
    assert all(row.split()[-1] == "ibl-2019" and row.split()[4] == "1.000" for row in rows)


def test_export_and_import_of_a_real_mouse(real_mouse, tmp_path, capsys):
    """Into the project's own file, out as csv, and in again: the same trials."""
    first, table, second = (str(tmp_path / name) for name in ("first.h5", "mouse.csv", "second.h5"))
    for command in (["import", str(real_mouse), first], ["export", first, table], ["import", table, second]):
        assert main(command) == 0
        assert "1 mice, 15 sessions, 10310 trials" in capsys.readouterr().out
    one, other = read_rollout(first), read_rollout(second)
    assert one.columns.keys() == other.columns.keys()
    assert all((one.columns[name] == other.columns[name]).all() for name in one.columns)
    assert main(["export", first, str(tmp_path / "mouse.txt")]) == 2
    assert "its name tells no format" in capsys.readouterr().err
    assert main(["export", first, str(tmp_path / "mouse.txt"), "--format", "csv"]) == 0
    assert (tmp_path / "mouse.txt").read_text() == Path(table).read_text()
    capsys.readouterr()
    assert main(["verify", table]) == 2
    assert "holds no content hash; expected --against PROTOCOL" in capsys.readouterr().err


def test_failed_import_leaves_what_was_there(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("subject,session\n1,2\n")
    (tmp_path / "x.h5").write_text("precious")
    for destination, message in (("x.h5", "it is left as it is"), ("y.h5", "column 'contrast_left' is missing")):
        assert main(["import", str(tmp_path / "bad.csv"), str(tmp_path / destination)]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "x.h5").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "x.h5"]


CASE = str(Path(__file__).parents[1] / "data" / "cases" / "two_mice.csv")


@pytest.mark.parametrize(
    ("command", "name", "message"),
    [
        ("import", "table.csv", "source and destination are the same file"),
        ("import", "link.csv", "source and destination are the same file"),
        ("import", "notes.txt", "there already, and not an HDF5 rollout"),
        ("import", "folder", "a folder; expected the name of a file to write"),
        ("import", "notes.txt/x.h5", "is a file; expected a folder"),
        ("import", "cut.h5", "there already, and not an HDF5 rollout"),
        ("export", "other.csv", "there already, and not a csv file of trials, plain or gzipped that this program wrote"),
        ("export", "table.csv", "source and destination are the same file"),
    ],
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_nothing_is_lost_that_it_did_not_make(command, name, message, overwrite, tmp_path, capsys):
    source = tmp_path / "table.csv"
    source.write_text(Path(CASE).read_text())
    (tmp_path / "other.csv").write_text(Path(CASE).read_text())
    (tmp_path / "link.csv").symlink_to(source)
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    (tmp_path / "folder").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert main([command, str(source), str(tmp_path / name), *overwrite]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert len(list(tmp_path.iterdir())) == len(before) + 1


@pytest.mark.parametrize(("command", "name"), [("import", "x.h5"), ("export", "x.csv"), ("export", "x.csv.gz")])
def test_what_it_made_is_replaced_if_told_so(command, name, tmp_path, capsys):
    destination = tmp_path / name
    assert main([command, CASE, str(destination)]) == 0
    written = destination.read_bytes()
    assert main([command, CASE, str(destination)]) == 2
    assert "or --overwrite" in capsys.readouterr().err
    assert destination.read_bytes() == written
    smaller = Path(CASE).with_name("perfect_mouse.csv")
    assert main([command, str(smaller), str(destination), "--overwrite"]) == 0
    assert len(read(destination)) == 300
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_was_made_of_a_table_is_said_beside_the_results(tmp_path, capsys):
    few, file = str(Path(CASE).with_name("few_columns.csv")), str(tmp_path / "x.h5")
    assert main(["import", few, file]) == 0
    out, error = capsys.readouterr()
    assert out.count("\n") == 1
    assert [line[:12] for line in error.splitlines()] == ["twin: note: "] * 4
    assert "unknown reward" in error
    assert read(file).notes == [line[12:] for line in error.splitlines()]
    assert main(["verify", file, "--against", "ibl-2019"]) == 2
    assert "does not tell P(left)" in capsys.readouterr().err


def test_a_mouse_without_choices_is_left_out_of_fits(tmp_path, capsys):
    data, out = Path(CASE).with_name("mouse_without_choices.csv"), tmp_path / "out"
    assert main(["fit", str(data), "--model", "reinforce", "--out", str(out)]) == 0
    assert "'m3' made no choice" in capsys.readouterr().err
    assert json.loads((out / "fits/reinforce/card.json").read_text())["mice"] == ["m1"]
    lines = data.read_text().splitlines()
    (tmp_path / "none.csv").write_text("\n".join(line for line in lines if not line.startswith("m1")) + "\n")
    assert main(["fit", str(tmp_path / "none.csv"), "--model", "reinforce", "--out", str(tmp_path / "none")]) == 2
    assert "none of its 1 mice made a choice" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["few_columns.csv", "reward_unknown_at_zero.csv"])
def test_a_table_that_tells_little_is_fitted(name, tmp_path, capsys):
    data, out = str(Path(CASE).with_name(name)), tmp_path / "out"
    assert main(["fit", data, "--model", "reinforce", "--out", str(out)]) == 0
    assert (out / "report.html").is_file()
