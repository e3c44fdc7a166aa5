"""Kept answers of a server: whole after a crash, told apart by all that was asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.storage.answers import Answers, request_key

URL = "http://127.0.0.1:8000/v1/completions"


def test_answers_survive_a_program_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "answers.sqlite"
    told = (
        "import os, signal; from pathlib import Path; from harness.storage.answers import Answers;"
        f"kept = Answers(Path({str(file)!r}));"
        "kept.add_partial('', 'a', ' text'); kept.add_partial('', 'b', (-1.5, True));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == -9
    found = Answers(file)
    assert len(found) == 2
    assert (found["a"], found["b"]) == (" text", (-1.5, True))
    assert "c" not in found


def test_a_request_is_told_by_url_payload_and_reading() -> None:
    payload = {"model": "tiny", "prompt": "The", "seed": 1}
    keys = {
        request_key(URL, payload, None),
        request_key(URL.replace("8000", "8001"), payload, None),
        request_key(URL, {**payload, "model": "other"}, None),
        request_key(URL, {**payload, "seed": 2}, None),
        request_key(URL, payload, 3),
    }
    assert len(keys) == 5
    assert request_key(URL, dict(reversed(payload.items())), None) in keys


def test_the_file_goes_away_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    for keep in (True, False):
        kept = Answers(tmp_path / "answers.sqlite")
        kept.add_partial("", "a", "text")
        kept.close(keep=keep)
        assert [file.name for file in tmp_path.iterdir()] == (["answers.sqlite"] if keep else [])


def test_another_file_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    file.write_text("no database, but a thesis\n" * 100, encoding="utf-8")
    with pytest.raises(ValueError, match=r"answers\.sqlite: expected kept answers"):
        Answers(file)
    assert file.read_text(encoding="utf-8").startswith("no database")
