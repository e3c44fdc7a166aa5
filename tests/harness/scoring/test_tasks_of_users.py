"""A capability task of a user's own, in YAML, scored beside ours: its group is an ability in the report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from harness.reporting.analysis import analyse
from harness.reporting.stages import find_runs
from harness.scoring.eval_command import run
from harness.storage.results import find_scored

QUESTIONS = {"sums": [("1 + 1 =", 2), ("2 + 2 =", 4), ("1 + 2 =", 3)], "products": [("2 x 2 =", 4), ("1 x 3 =", 3)]}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, questions in QUESTIONS.items():
        rows = [{"question": text, "right": right - 2, "options": ["2", "3", "4"]} for text, right in questions]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
            "output_type": "multiple_choice",
            "test_split": "test",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "{{options}}",
            "doc_to_target": "right",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))
    weighed = [{"metric": "acc", "aggregation": "mean", "weight_by_size": True}]
    group = {"group": "arithmetic_of_mine", "task": list(QUESTIONS), "aggregate_metric_list": weighed}
    (folder / "group.yaml").write_text(yaml.safe_dump(group))
    return folder


def test_its_group_is_reported_with_an_interval_and_equals_lm_evals_own_number(
    byte_llama: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    out = tmp_path / "out"
    arguments = f"--model-args pretrained={byte_llama} --include-path {tasks} --output-path {out}"
    run(shlex.split(f"{arguments} --tasks arithmetic_of_mine,crows_pairs --limit 30"))
    (scored,) = find_scored(out)
    assert scored.provenance.tasks["sums"].origin == "task"
    assert scored.provenance.tasks["sums"].n == 3
    report = analyse(find_runs([out]))
    (stage,) = report.stages
    assert stage.abilities == ["arithmetic_of_mine"]
    assert stage.tasks_without_metrics == []
    acc = {entry.task: entry for entry in report.entries if entry.metric == "acc"}
    told = scored.results["results"]
    assert {task: entry.value for task, entry in acc.items()} == pytest.approx(
        {task: 100 * told[task]["acc,none"] for task in ("sums", "products", "arithmetic_of_mine")}, abs=1e-6
    )
    assert acc["arithmetic_of_mine"].n == 5
    assert acc["sums"].flags == ["low_n"]
