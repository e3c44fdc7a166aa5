"""A name that stands in a file never becomes a path outside the folder that it is meant for."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.experiments.experiment_file import from_settings
from harness.scoring.task_files import Selection, check_task_files
from harness.storage.provenance import Provenance, TaskData
from harness.storage.results import PROVENANCE_KEY, find_scored, read_scored, write_results

HOSTILE = ("../x", "/tmp/x", "a/b", "..", "a\0b", "a\x1b[2J", "a\nb", "\u202ea", "..\\x", "x" * 300)
PROVENANCE = Provenance(
    model="m",
    pretrained="m",
    parameters=1,
    weights_sha256="0",
    started_after="",
    started_after_id=0,
    dtype="float32",
    tasks={"boolq": TaskData(sha256="0", origin="task", n=1)},
    versions={},
    command="c",
    seconds=1.0,
).model_dump(mode="json")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_task_of_a_users_file_that_no_samples_file_could_be_called_by_is_refused_before_it_is_scored(
    name: str,
) -> None:
    manager = SimpleNamespace(load=lambda names: {"tasks": {name: None}, "groups": {}})
    with pytest.raises(ValueError, match=r"the name of a task: .* cannot be a file's name|too long for a file's name"):
        _ = Selection(manager, [name]).loaded


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "..\\x"])
def test_a_task_file_of_a_plugin_with_such_a_name_is_broken(tmp_path: Path, name: str) -> None:
    text = f"task: {json.dumps(name)}\ndataset_path: json\noutput_type: multiple_choice\n"
    (tmp_path / "theirs.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"theirs\.yaml: broken task file .*cannot be a file's name"):
        check_task_files(tmp_path)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_under_such_a_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "results"
    with pytest.raises(ValueError, match="the name of a task"):
        write_results(folder, {}, {"fine": ["{}\n"], name: ["{}\n"]})
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("part", ["tasks", "generations", "samples", "configs"])
def test_a_results_file_that_names_such_a_samples_file_is_refused(tmp_path: Path, part: str, name: str) -> None:
    values = {
        "tasks": PROVENANCE["tasks"]["boolq"],
        "samples": {"sha256": "0", "lines": 1},
        "generations": {"measures": "honest", "k": 1, "arguments": {}, "seed": 0},
        "configs": {},
    }
    told = dict(PROVENANCE)
    results = {PROVENANCE_KEY: told}
    (results if part == "configs" else told)[part] = {name: values[part]}
    file = tmp_path / "results_2026-01-02T03-04-05.json"
    file.write_text(json.dumps(results), encoding="utf-8")
    for read in (lambda: read_scored(file), lambda: find_scored(tmp_path)):
        with pytest.raises(ValueError, match=r"results_2026.*json, (stereoscope\.)?\w+: "):
            read()


@pytest.mark.parametrize("name", [*HOSTILE, "", ".", "-rf", "~", "a b", "模型"])
def test_an_experiment_and_its_models_are_called_as_folders_can_be(name: str) -> None:
    settings = {"name": "x", "models": [{"name": "a", "pretrained": "b"}], "tasks": ["crows_pairs"]}
    for wrong in ({**settings, "name": name}, {**settings, "models": [{"name": name, "pretrained": "b"}]}):
        with pytest.raises(ValueError, match="names a folder too"):
            from_settings(wrong)
