"""The command line from outside: what it prints, writes, returns, and leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import twin
from envs import load_protocol
from twin.cli import main
from twin.cohort import Cohort
from twin.data.formats import read
from twin.data.store import content_hash, read_rollout, write_rollout
from twin.simulation import simulate

TINY = """
kind = "cohort"
name = "tiny"
[cohort]
mice = 2
rule = "static"
[protocol]
base = "ibl-documented"
[run]
trials = 20
"""
QUICKSTART = "scenarios/quickstart.toml"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture
def tiny(tmp_path):
    """A scenario that takes no time."""
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def test_run_and_report_print_the_results_and_say_where_they_are(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", str(tiny), "--out", str(out), "--set", "cohort.mice=3", "--engine", "serial"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: 3 mice, 60 trials")
    assert printed.endswith(f"report: {out / 'report.html'}   numbers: {out / 'results.json'}\n")
    assert json.loads((out / "results.json").read_text())["mice"] == 3
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").is_file()
    assert capsys.readouterr().out.startswith("tiny: 3 mice, 60 trials")


def test_engine_and_workers_change_nothing(tiny, tmp_path):
    found = []
    for engine, workers in (("serial", 1), ("threads", 2)):
        out = tmp_path / engine
        assert main(["run", str(tiny), "--out", str(out), "--engine", engine, "--workers", str(workers)]) == 0
        found.append(content_hash(read_rollout(out / "rollouts.h5")))
    assert found[0] == found[1]


def test_another_scenario_does_not_run_over_it(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    before = (out / "scenario.toml").read_text()
    assert main(["run", str(tiny), "--out", str(out), "--set", "seed=2"]) == 2
    assert "holds the run of another scenario" in capsys.readouterr().err
    assert (out / "scenario.toml").read_text() == before


def test_dry_run_writes_nothing(tmp_path, capsys):
    assert main(["run", QUICKSTART, "--out", str(tmp_path / "no"), "--dry-run"]) == 0
    assert "session_trials" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


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


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "scenarios/none.toml"], "no such scenario"),
        (["run", QUICKSTART, "--set", "cohort.mouse=3"], "unknown key in [cohort]: 'mouse'"),
        (["run", QUICKSTART, "--set", "cohort.rule=reinforc"], "did you mean 'reinforce'"),
        (["run", QUICKSTART, "--engine", "proceses"], "unknown engine 'proceses'; did you mean 'processes'"),
        (["fit", "none.h5", "--model", "reinforce"], "no such file"),
        (["fit", "README.md", "--model", "reinforce"], "its content is of no known format; expected a csv file of trials"),
        (["import", "none.csv", "x.h5"], "no such file"),
        (["info", "none.h5"], "no such file"),
        (["report", "none"], "none: not a run folder: it holds no scenario.toml"),
        (["run", "quikstart"], "no such scenario; did you mean quickstart? expected a TOML file or the name of one of"),
        (["run", "quickstart", "--set", "cohort.mice=" + "[" * 5000], "nested too deeply"),
        (["run", "quickstart", "--set", "kind={ a = 1 }"], "unknown kind {'a': 1}"),
        (["run", "quickstart", "--set", "inference.reinforce.population=true"], "'reinforce' is not among the models"),
        (["fit", "none.h5", "--model", "reinforce", "--features", ""], "no such file"),
    ],
)
def test_wrong_input_is_one_paragraph_and_status_2(command, message, capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")] if command[0] in ("run", "fit") else []
    assert main([*command, *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "the following arguments are required: COMMAND; see twin --help"),
        (["runn"], "invalid choice: 'runn'"),
        (["fit", "x.csv"], "arguments are required: --model; see twin fit --help"),
        (["run", "quickstart", "--workers", "0"], "'0': expected a whole number of at least 1"),
        (["run", "quickstart", "--workers", "\u00b2"], "expected a whole number of at least 1"),
        (["fit", "x.csv", "--model", "reinforce", "--folds", "-1"], "'-1': expected a whole number, 0 or more"),
    ],
)
def test_wrong_command_is_one_paragraph_and_status_2(command, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("twin: ") and error.count("\n") == 1 and message in error


def test_version_and_module():
    done = subprocess.run([sys.executable, "-m", "twin", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"twin {twin.__version__}\n"


def test_bundled_scenario_from_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "paper/fig2", "--dry-run", "--set", "cohort.mice=3"]) == 0
    assert 'name = "fig2"' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_data_of_any_name_can_be_fitted(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_rollout(small[1], tmp_path / "my mice (1).h5")
    assert main(["fit", "my mice (1).h5", "--model", "dnnglm", "--set", "reinforce.seed=1"]) == 2
    assert "reinforce" in capsys.readouterr().err
    assert main(["fit", "my mice (1).h5", "--model", "static-glm"]) == 0
    assert (tmp_path / "runs" / "fit-my-mice-1-" / "report.html").is_file()


def test_failed_import_leaves_what_was_there(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("subject,session\n1,2\n")
    (tmp_path / "x.h5").write_text("precious")
    for destination, message in (("x.h5", "it is left as it is"), ("y.h5", "column 'contrast_left' is missing")):
        assert main(["import", str(tmp_path / "bad.csv"), str(tmp_path / destination)]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "x.h5").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "x.h5"]


CASE = str(Path(__file__).parent / "data" / "cases" / "two_mice.csv")


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


def test_wrong_model_in_fit_is_named(small, tmp_path, capsys):
    write_rollout(small[1], tmp_path / "r.h5")
    assert main(["fit", str(tmp_path / "r.h5"), "--model", "dnglm", "--out", str(tmp_path / "out")]) == 2
    assert "unknown model 'dnglm'; did you mean 'dnnglm'" in capsys.readouterr().err


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        main(["info", "none.h5", "--debug"])


def test_command_line_starts_without_the_heavy_libraries():
    code = (
        "import sys, twin.cli; twin.cli._parser(); print(*(m for m in ('numpy', 'numba', 'torch', 'h5py') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


LOCKING = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


def test_rollouts_that_another_program_holds_are_locked_and_kept(tiny, tmp_path, capsys):
    """Not cut short, and not simulated again."""
    out = tmp_path / "run"
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    file, before, log = out / "rollouts.h5", (out / "rollouts.h5").read_bytes(), (out / "log.txt").read_text()
    capsys.readouterr()
    with subprocess.Popen([sys.executable, "-c", LOCKING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        for command in (["info", str(file)], ["run", str(tiny), "--out", str(out)]):
            assert main(command) == 1
            said = capsys.readouterr().err
            assert said.startswith(f"twin: {file}: locked by another program") and said.count("\n") == 1
        holder.communicate()
    assert file.read_bytes() == before
    assert (out / "log.txt").read_text() == log
    assert main(["run", str(tiny), "--out", str(out)]) == 0


FULL = """
import resource, sys
from twin.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(["run", sys.argv[2], "--out", sys.argv[3]]))
"""


@pytest.mark.parametrize("room", [0, 400, 5_000, 30_000])
def test_disk_that_is_full_at_any_point_is_one_sentence_and_the_run_goes_on_later(room, tiny, tmp_path):
    """At the scenario, the log, the rollouts, the figures."""
    out = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", FULL, str(room), str(tiny), str(out)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "%|" not in line]  # but for bars of progress
    assert done.returncode == 1
    assert len(said) == 1 and said[0].startswith(f"twin: {out}") and "no space left for this file" in said[0]
    assert not list(tmp_path.rglob("*.tmp"))
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    assert json.loads((out / "results.json").read_text())["mice"] == 2
