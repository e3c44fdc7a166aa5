"""Whatever lies in a file beside results and controls, it is read or is one ValueError that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from any_file import check_any, holds

from harness.storage.answers import Answers
from harness.storage.controls import ControlRecord, Matched, Slice, read_record
from harness.storage.files import read_yaml
from harness.storage.manifest import read_manifest
from harness.storage.names import inside, require_plain_name
from harness.storage.reading import DEEPEST, parse_json, parse_yaml, read_object

RECORD = ControlRecord(
    kind="noise",
    seed=0,
    matched_by="perplexity",
    reason=None,
    target_ratio=1.2,
    target_error=0.1,
    reached_ratio=1.21,
    scale=0.3,
    update_norm=2.0,
    base_perplexity=40.0,
    text=Slice(data_sha256="0" * 64, origin="sample", passages=2, words=10.0, sha256="1" * 64),
    matched=(Matched(checkpoint="c", fold=None, seed=1, weights_sha256="2" * 64, ratio=1.1, update_norm=1.0),),
    inputs_sha256="3" * 64,
)
ALIAS_BOMB = "".join(
    f"k{level}: &k{level} [{', '.join([f'*k{level - 1}' if level else 'x'] * 9)}]\n" for level in range(9)
)


def test_any_control_is_read_or_one_error(tmp_path: Path) -> None:
    check_any(
        lambda file: read_record(file.parent), tmp_path / "control.json", RECORD.model_dump_json().encode(), "json"
    )


def test_any_file_of_kept_answers_is_read_or_one_error(tmp_path: Path) -> None:
    kept = Answers(tmp_path / "kept.sqlite")
    kept.add_partial("", "a", "text")
    kept.add_partial("", "b", (-1.5, True))
    kept.close(keep=True)

    def read(file: Path) -> None:
        answers = Answers(file)
        assert all(isinstance(answers[request], (str, tuple)) for request in ("a", "b") if request in answers)
        answers.close(keep=True)

    check_any(read, tmp_path / "answers.sqlite", (tmp_path / "kept.sqlite").read_bytes(), "bytes")


@pytest.mark.parametrize("answer", ["3", "null", "[1]", "[1.5, true, 2]", '["a", true]', "[", '{"a": 1}', "[" * 9999])
def test_an_answer_that_is_none_is_one_error(tmp_path: Path, answer: str) -> None:
    kept = Answers(tmp_path / "answers.sqlite")
    assert kept._database is not None
    kept._database.execute("INSERT INTO answers VALUES (?, ?)", ("a", answer))
    kept.close(keep=True)
    with pytest.raises(ValueError, match=r"answers\.sqlite: expected kept answers of a server"):
        Answers(tmp_path / "answers.sqlite")


def test_any_manifest_is_read_or_one_error(tmp_path: Path) -> None:
    valid = b'{"config.json": "' + b"0" * 64 + b'", "global_step2/a.pt": "' + b"1" * 64 + b'"}'
    check_any(lambda file: read_manifest(file.parent), tmp_path / "manifest.json", valid, "json")


def test_any_yaml_of_settings_is_read_or_one_error(tmp_path: Path) -> None:
    valid = b"name: x\nmodels:\n- {name: a, pretrained: b}\n- name: c\ntraining:\n  lr: 0.1\n  steps: [1, 2]\n"
    check_any(read_yaml, tmp_path / "settings.yaml", valid, "yaml")


@pytest.mark.parametrize(
    "text",
    [ALIAS_BOMB, "a: &a [*a]", "[" * 9999, "a: " + "9" * 9999, "x" * (1 << 19), "a: 2020-13-13", "a: !!int x", "1: 2"],
    ids=["aliases", "itself", "nested", "number", "long", "date", "tag", "key"],
)
def test_yaml_that_would_take_all_memory_or_ends_in_pyyamls_own_errors_is_refused(tmp_path: Path, text: str) -> None:
    assert holds(read_yaml, tmp_path / "settings.yaml", text.encode()) != "read"


@pytest.mark.parametrize("text", ["[" * 99_999, "[" * 200 + "]" * 200, "9" * 9999, '["\\ud800"]', '{"a": "\\udfffx"}'])
def test_json_that_python_reads_and_nothing_else_takes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.json: "):
        parse_json(text, "a.json")


def test_what_is_nested_as_deeply_as_allowed_is_read() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "a.json")
    assert parse_json('"\\ud83d\\ude00"', "a.json") == "\N{GRINNING FACE}"
    assert parse_yaml("a: &x [1, 2]\nb: *x\n<<: {c: 3}", "a.yaml") == {"a": [1, 2], "b": [1, 2], "c": 3}


def test_a_message_says_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json: expected an object of named parts, found \[1\]; make it again"):
        read_object(tmp_path / "a.json", "make it again")


HOSTILE = (
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a\0b",
    "a\x1b[2J",
    "a\nb",
    "\u202eexe",
    "..\\x",
    None,
    3,
    ["a"],
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_file_never_leads_out_of_its_folder(tmp_path: Path, name: object) -> None:
    with pytest.raises(ValueError, match=r"^manifest\.json: "):
        inside(tmp_path, name, "manifest.json")


@pytest.mark.parametrize("name", [*HOSTILE, "a/b", "x" * 300])
def test_a_name_that_becomes_a_file_is_of_one_part(name: object) -> None:
    with pytest.raises(ValueError, match=r"^results\.json: "):
        require_plain_name(name, "results.json")


def test_names_that_people_give_are_fine(tmp_path: Path) -> None:
    for name in ("crows_pairs", "arc:challenge", "Größe 3", "模型", "a..b", "x" * 200):
        assert require_plain_name(name, "a file") == name
    assert inside(tmp_path, "global_step2/a.pt", "a file") == tmp_path / "global_step2" / "a.pt"


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "away").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is a link that leads out of"):
        inside(folder, "away/secret", "manifest.json")
