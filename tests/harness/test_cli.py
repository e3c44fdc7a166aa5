"""The command line answers at once, and a user's mistake is a message, not a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


def stereoscope(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_help_loads_no_model_library() -> None:
    code = (
        "import sys, harness.cli; sys.exit(bool({'torch', 'transformers', 'lm_eval', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_names_every_command() -> None:
    printed = stereoscope("--help").stdout
    assert all(command in printed for command in ("eval", "tasks", "run", "report", "model", "data"))


def test_the_list_of_tasks_loads_no_model_library() -> None:
    code = (
        "import sys, harness.planning.task_list as tasks; tasks.table(); "
        "sys.exit(bool({'torch', 'transformers', 'lm_eval', 'datasets', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_is_the_packages() -> None:
    assert stereoscope("--version").stdout == f"stereoscope {version('lm-stereoscope')}\n"


def test_help_of_eval_tells_our_defaults_and_where_our_tasks_are_listed() -> None:
    told = " ".join(stereoscope("eval", "--help").stdout.split())
    assert "(default: hf-any" in told
    assert "(default: auto" in told
    assert "`stereoscope tasks` lists" in told
    assert "lm-eval ls" not in told
    assert not re.search(r"--\w+_\w+", told)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ta", ["tasks"]),
        ("run --output", ["--output-dir"]),
        ("eval --output", ["--output-path"]),
        ("eval --tasks crows_pairs,stereoset_i", [f"crows_pairs,stereoset_int{form}sentence" for form in ("ra", "er")]),
    ],
)
def test_bash_completes_commands_options_and_tasks(typed: str, offered: list[str], tmp_path: Path) -> None:
    words = ["stereoscope", *typed.split(" ")]
    program = f'"{sys.executable}" -c "from harness.cli import app; app(prog_name=\'stereoscope\')"'
    # As a file on PATH, which is what the completion script calls.
    (tmp_path / "stereoscope").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    (tmp_path / "stereoscope").chmod(0o755)
    script = (
        'eval "$(_STEREOSCOPE_COMPLETE=source_bash stereoscope)"\n'
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '_stereoscope_completion stereoscope; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "stereoscope: nowhere.yaml: no such experiment file"),
        (["report", "nowhere"], "nowhere"),
        (["model", "gpt5", "folder"], "smollm2-135m"),
        (["eval", "--tasks", "crows_pairs"], "pretrained"),
        (
            ["eval", "--model_args", "pretraind=gpt2", "--tasks", "x"],
            "no argument 'pretraind'; did you mean 'pretrained'?",
        ),
        (["eval", "--taks", "crows_pairs"], "no such option: --taks; did you mean '--tasks'?"),
        (["rnu", "demo.yaml"], "Did you mean 'run'?"),
        (["run", "x.yaml", "--output_dri", "y"], "--output-dir"),
        (["run", "nowhere.yaml", "--output_dir", "y"], "no such experiment file"),
    ],
)
def test_a_mistake_is_a_message(arguments: list[str], message: str) -> None:
    outcome = stereoscope(*arguments)
    assert outcome.returncode != 0
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_smollm2_is_not_written_into_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    outcome = stereoscope("model", "smollm2-135m", str(tmp_path))
    assert outcome.returncode != 0
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
