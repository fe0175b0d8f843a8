"""The distribution as a whole: public names, layers, the benchmark's form, and what the README promises."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import twin
from envs.protocols import read_protocol

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", twin.__all__)
def test_public_names_exist(name):
    assert getattr(twin, name) is not None


def test_dir_shows_the_public_names():
    assert dir(twin) == sorted([*twin.__all__, "__version__"])


def test_paths_may_be_text_wherever_they_are_taken(small, tmp_path):
    _, rollout, trials = small
    folder = str(tmp_path)
    for name in ("mice.h5", "mice.csv"):
        twin.write(rollout, f"{folder}/{name}")
        assert twin.read(f"{folder}/{name}").ids == rollout.ids
    twin.fit(trials, "static-glm").save(f"{folder}/fit")
    assert twin.load_fit(f"{folder}/fit").ids == twin.load_fit(tmp_path / "fit").ids == rollout.ids
    assert twin.Cohort(rule=f"{folder}/fit").known_rule.closed_form.name == "static"
    Path(f"{folder}/protocol.toml").write_text('base = "ibl-2019"\n')
    assert read_protocol(f"{folder}/protocol.toml") == read_protocol(tmp_path / "protocol.toml")
    study = twin.load_scenario(str(ROOT / "scenarios" / "cohort.toml"), ["cohort.mice=1", "run.horizon=1"])
    assert twin.run(study, f"{folder}/run").mice == 1


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has Cohort"):
        twin.nothing  # noqa: B018


def test_foreign_packages_of_our_names_are_noticed(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import twin"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Use a fresh virtual environment" in done.stderr


def test_layers_are_kept():
    code = "from importlinter.cli import lint_imports_command as check; check()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", README, re.S), ids=["library", "gymnasium"])
def test_examples_of_the_readme_run(example, capsys):
    example = example.replace("mice=20", "mice=3").replace("trials=5000", "trials=400").replace("epochs=40", "epochs=2")
    exec(compile(example, "README.md", "exec"), {})


def test_readme_names_every_shipped_scenario():
    for path in (ROOT / "scenarios").glob("*.toml"):
        assert f"`{path.stem}`" in README


def test_nothing_names_a_machine_or_a_host():
    for path in ROOT.rglob("*"):
        if path.suffix in (".py", ".toml", ".md", ".txt", ".cff") and ".git" not in path.parts and path != Path(__file__):
            text = path.read_text()
            assert not re.search(r"/(work|home|root)/", text), path


def test_every_file_tells_the_same_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("package", ["twin", "envs", "agents"])
def test_types_are_told(package):
    assert (ROOT / package / "py.typed").is_file()
