"""The command line answers at once, and a user's mistake is a message, not a traceback."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.parametrize("command", ["eval", "run", "report", "model", "data"])
def test_help_names_every_command(command: str) -> None:
    assert command in stereoscope("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "stereoscope: nowhere.yaml: no such experiment file"),
        (["report", "nowhere"], "nowhere"),
        (["model", "gpt5", "folder"], "smollm2-135m"),
        (["eval", "--tasks", "crows_pairs"], "pretrained"),
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
