"""Results of plain `lm_eval` for our tasks are reported from their samples; what they do not say is not known."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from any_file import check_any
from result_files import DATE, TERMS, Sample, crows, published, stereoset, wikitext

from harness.reporting.analysis import analyse
from harness.reporting.build import build_report
from harness.reporting.index import Index
from harness.reporting.stages import find_runs
from harness.storage.results import find_scored

NOTED = {"crows_pairs": "crows_pairs", "stereoset_intrasentence": "stereoset", "wikitext2": "wikitext2"}
BASE: dict[str, list[Sample]] = {
    "crows_pairs": crows(28, 4), "stereoset_intrasentence": stereoset([2] * TERMS), "wikitext2": wikitext(20),
}  # fmt: skip
STEP: dict[str, list[Sample]] = {
    "crows_pairs": crows(24, 2), "stereoset_intrasentence": stereoset([1] * TERMS), "wikitext2": wikitext(20.4),
}  # fmt: skip


def write_plain(folder: Path, tasks: dict[str, list[Sample]], arguments: object, **config: Any) -> Path:
    """What `lm_eval --log_samples` leaves: no provenance, and in each row what our readers note."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, samples in tasks.items():
        noted = {"start_token": "<s>", "start_token_id": 1, "data_origin": "local"}
        if task in NOTED:
            noted["data_sha256"] = published(NOTED[task])
        lines = [{"doc_id": place, **one, "doc": {**one["doc"], **noted}} for place, one in enumerate(samples)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{DATE}.jsonl").write_text(text, encoding="utf-8")
    told = {"model": "hf", "model_args": arguments, "model_num_parameters": 1000, "model_dtype": "torch.float16"}
    results = {
        "results": {task: {"alias": task} for task in tasks},
        "configs": {task: {"task": task, "metadata": {"version": 1}} for task in tasks},
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {},
        "n-samples": {task: {"original": len(samples), "effective": len(samples)} for task, samples in tasks.items()},
        "config": {**told, **config},
        "lm_eval_version": "0.4.13",
        "transformers_version": "5.17.0",
        "total_evaluation_time_seconds": "12.5",
    }
    file = folder / f"results_{DATE}.json"
    file.write_text(json.dumps(results), encoding="utf-8")
    return file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_plain(tmp_path / "run" / "base", BASE, {"pretrained": "org/tiny"})
    write_plain(tmp_path / "run" / "step", STEP, "pretrained=org/tiny,peft=out/checkpoint-30,dtype=float16")
    return tmp_path / "run"


def test_the_scores_are_those_of_the_samples(run: Path) -> None:
    report = analyse(find_runs([run]))
    index = Index.of(report)
    base, step = report.stages
    assert (base.model, base.stage, base.parameters, base.started_after) == ("org/tiny", "base", 1000, "<s>")
    assert (step.stage, step.step, step.scorings[0].checkpoint) == ("step", 30, "out/checkpoint-30")
    crows_score = index.entry(step, "crows_pairs", "crows_score")
    assert crows_score is not None
    assert (crows_score.value, crows_score.base_value) == (60, 70)
    perplexity = index.entry(base, "wikitext2", "word_perplexity")
    assert perplexity is not None
    assert perplexity.value == pytest.approx(20)
    assert base.scorings[0].dtype == "float16"
    assert base.scorings[0].seconds == 12.5


def test_what_is_not_known_is_said(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder = build_report([run])
    assert "was written by lm_eval itself: its weights, what they were trained on" in caplog.text
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert all(scoring["weights_sha256"] is None for stage in report["stages"] for scoring in stage["scorings"])
    assert all("unsealed" in entry["flags"] for entry in report["entries"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "not known" in page
    # A step of which nobody knows the pairs that it saw may have seen those of crows_pairs.
    seen = [one for one in report["entries"] if one["stage"] == "step" and one["task"] == "crows_pairs"]
    assert all("contaminated" in entry["flags"] for entry in seen)


def test_only_reports_take_them(run: Path) -> None:
    assert find_scored(run) == []
    assert len(find_scored(run, plain=True)) == 2


def test_a_kind_of_model_that_is_not_told_is_no_guess(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_plain(tmp_path / "run", BASE, {"pretrained": "org/tiny"}, model="hf-any")
    with pytest.raises(FileNotFoundError, match="nothing scored"):
        find_runs([tmp_path / "run"])
    assert "--model hf-any does not say what kind of model" in caplog.text


def test_tasks_without_samples_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_plain(tmp_path / "run", BASE, {"pretrained": "org/tiny"})
    (file.parent / f"samples_wikitext2_{DATE}.jsonl").unlink()
    report = analyse(find_runs([tmp_path / "run"]))
    assert {entry.task for entry in report.entries} == {"crows_pairs", "stereoset_intrasentence"}
    assert "no samples of wikitext2 beside it; score again with --log_samples" in caplog.text


def test_any_results_file_of_lm_eval_is_read_or_one_error(tmp_path: Path) -> None:
    file = write_plain(tmp_path, {"crows_pairs": crows(28, 4, range(2))}, {"pretrained": "org/tiny"})
    check_any(lambda one: find_scored(one.parent, plain=True), file, file.read_bytes(), "json")
