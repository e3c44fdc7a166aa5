"""A program started by `run_module.py` imports nothing from the working folder, on every version of Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_folder import imported, write_own_modules

from harness.machine.run_module import FILE, program, safe_environment

UNSAFE = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
"""As on Python 3.10, which does not know the variable."""


def run(folder: Path, *arguments: str, **variables: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env={**UNSAFE, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_users_modules_are_not_taken_for_ours_or_pythons(tmp_path: Path) -> None:
    folder = write_own_modules(tmp_path / "mine")
    assert "Usage" in run(folder, *program("harness"), "--help")
    run(folder, *program("random"))
    assert imported(folder) == []


def test_what_a_user_puts_on_the_path_is_there_and_ours_come_first_all_the_same(tmp_path: Path) -> None:
    folder = write_own_modules(tmp_path / "mine", "training", "harness")
    (folder / "plugin.py").write_text("import harness, training; print(harness.__file__, training.__file__)")
    packages = run(tmp_path, *program("plugin"), PYTHONPATH=str(folder)).split()
    assert packages == [str(FILE.parents[2] / name / "__init__.py") for name in ("harness", "training")]


def test_python_dash_m_harness_takes_nothing_else_from_the_working_folder(tmp_path: Path) -> None:
    folder = write_own_modules(tmp_path / "mine", "training", "tasks", "random")
    run(folder, "-m", "harness", "report", "--help")
    run(folder, "-m", "harness", "init", "demo")
    assert imported(folder) == []


@pytest.mark.parametrize(("given", "kept"), [("/a::/b:", "/a:/b"), (":", None), (None, None), (".", ".")])
def test_an_empty_part_of_the_path_does_not_let_the_working_folder_in(given: str | None, kept: str | None) -> None:
    variables = safe_environment({} if given is None else {"PYTHONPATH": given})
    assert variables.get("PYTHONPATH") == kept
    assert variables["PYTHONSAFEPATH"] == "1"


def test_a_module_finds_its_command_line_as_it_expects_it(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text("import sys; print(__name__, sys.argv)")
    printed = run(tmp_path, *program("shown"), "a", "-m", PYTHONPATH=str(tmp_path))
    assert printed.strip() == f"__main__ [{str(tmp_path / 'shown.py')!r}, 'a', '-m']"


@pytest.mark.parametrize(("asked", "taken"), [("", []), (".", ["random"])])
def test_a_launcher_cannot_put_the_working_folder_on_the_path_but_the_user_can(
    tmp_path: Path, asked: str, taken: list[str]
) -> None:
    """As accelerate does for DeepSpeed."""
    folder = write_own_modules(tmp_path / "mine", "random")
    variables = {**safe_environment({"PYTHONPATH": asked}), "PYTHONPATH": str(folder)}
    command = [sys.executable, *program("tempfile")]
    subprocess.run(command, cwd=folder, env={**UNSAFE, **variables}, capture_output=True, check=False)
    assert imported(folder) == taken
