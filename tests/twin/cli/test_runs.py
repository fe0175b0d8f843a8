"""Studies from the shell; what is wrong is one paragraph and a status."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import twin
from twin.cli import main
from twin.data.store import content_hash, read_rollout, write_rollout

QUICKSTART = "scenarios/quickstart.toml"


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


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "scenarios/none.toml"], "no such scenario"),
        (["run", QUICKSTART, "--set", "cohort.mouse=3"], "unknown key in [cohort]: 'mouse'"),
        (["run", QUICKSTART, "--set", "cohort.rule=reinforc"], "did you mean 'reinforce'"),
        (["run", QUICKSTART, "--engine", "proceses"], "unknown engine 'proceses'; did you mean 'processes'"),
        (["fit", "none.h5", "--model", "reinforce"], "no such file"),
        (["fit", "README.md", "--model", "reinforce"], "its content is of no known format; expected an ALF folder"),
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
