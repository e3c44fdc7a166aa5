"""Whatever lies in a results or a samples file, reading it gives records or one ValueError that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from any_file import check_any
from result_files import DATE, Scores, crows, stereoset, wikitext, write

from harness.metrics import other_tasks
from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.samples import read_samples
from harness.reporting.thresholds import thresholds_of
from harness.storage.results import find_scored, read_scored

JUDGED = {"item": "g/1", "prompt": "They are", "group": "", "dropped": 0, "matched": True}
PROMPT = {"rotation": 0, "order": ["more", "less"], "pair_id": "a", "row": 0, "bias_type": "age", "writer": "w"}
OPTIONS = {
    "id": "i", "task": "intrasentence", "target": "t", "bias_type": "race", "rotation": 0, "context": "c BLANK.",
    "order": ["stereotype", "anti-stereotype", "unrelated"], "stereotype": "c a.", "anti_stereotype": "c b.",
    "unrelated": "c d.",
}  # fmt: skip
QUESTION = {
    "category": "Age", "question_index": "1", "example_id": 3, "context_condition": "ambig", "right": 1, "unknown": 1,
    "biased": 0, "options": ["The aunt", "Not known", "The niece"], "tokens": [2, 2, 3], "rotation": 0,
    "order": [2, 0, 1],
}  # fmt: skip
LIKELIHOODS = [["-1.5", "True"], ["-2.5", "False"], ["-3.5", "False"]]
LINES: dict[str, list[dict[str, Any]]] = {
    "crows_pairs": crows(1, 4, range(2)),
    "crows_pairs_pll": crows(1, 4, range(2)),
    "crows_pairs_prompt": [{"doc": PROMPT, "filtered_resps": LIKELIHOODS[:2], "arguments": {"gen_args_0": {}}}],
    "stereoset_intrasentence": stereoset([1])[:2],
    "stereoset_prompt_intrasentence": [{"doc": OPTIONS, "filtered_resps": LIKELIHOODS}],
    "stereoset_prompt_generate_intrasentence": [{"doc": OPTIONS, "filtered_resps": ["A"]}],
    "bbq_age": [{"doc": QUESTION, "filtered_resps": LIKELIHOODS}],
    "bbq_choice_age": [{"doc": QUESTION, "filtered_resps": LIKELIHOODS}],
    "bbq_generate_age": [{"doc": QUESTION, "filtered_resps": ["B"]}],
    "wikitext2": wikitext(20, 2),
    "toxicity_rtp_challenging": [{"doc": JUDGED, "filtered_resps": [[["mild", "0", "0.05"], ["", "0"]]]}],
    "regard_bold_gender": [
        {
            "doc": {**JUDGED, "group": "American_actors"},
            "filtered_resps": [[["mild", "0", "0.05", "0.05", "0.9", "0"]]],
        }
    ],
    "honest_binary": [{"doc": {**JUDGED, "group": "female"}, "filtered_resps": [[["cow", "an"], [" ", ""]]]}],
}


def _lines(samples: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps({"doc_id": number, **line}) + "\n" for number, line in enumerate(samples)).encode()


@pytest.mark.parametrize("task", LINES)
def test_any_samples_file_of_a_task_gives_records_or_one_error(tmp_path: Path, task: str) -> None:
    results = write(tmp_path, Scores({task: LINES[task]}))
    written = json.loads(results.read_text(encoding="utf-8"))
    del written["stereoscope"]["samples"]  # as in files of before: a seal would refuse every one of these
    results.write_text(json.dumps(written), encoding="utf-8")

    def read(file: Path) -> None:
        assert file.is_file()
        scored = read_scored(results)
        assert scored is not None
        records, _ = read_samples(scored, BENCHMARKS[task])
        BENCHMARKS[task].table(records)
        BENCHMARKS[task].parts(records)

    check_any(read, tmp_path / f"samples_{task}_{DATE}.jsonl", _lines(LINES[task]), "lines")


def test_any_samples_file_of_a_task_of_lm_evals_gives_records_or_one_error(tmp_path: Path) -> None:
    lines = [{"acc": number % 2, "metrics": ["acc"], "filter": "none"} for number in range(4)]
    noted = {"results": {"boolq": {"acc,none": 0.5}}, "higher_is_better": {"boolq": {"acc": True}}}
    results = write(tmp_path, Scores({"boolq": lines}, noted=noted))
    written = json.loads(results.read_text(encoding="utf-8"))
    del written["stereoscope"]["samples"]
    results.write_text(json.dumps(written), encoding="utf-8")
    scored = read_scored(results)
    assert scored is not None
    benchmark = other_tasks.benchmark_of("boolq", list(scored.samples("boolq")), scored.results)
    assert benchmark is not None

    check_any(
        lambda _: read_samples(scored, benchmark), tmp_path / f"samples_boolq_{DATE}.jsonl", _lines(lines), "lines"
    )


def test_any_results_file_is_read_or_one_error(tmp_path: Path) -> None:
    task = "crows_pairs"
    noted = {
        "results": {task: {"crows_score,none": 50.0}},
        "configs": {task: {"metadata": {"version": 1}, "doc_to_text": "x"}},
        "n-samples": {task: {"original": 40, "effective": 40}},
        "config": {"gen_kwargs": {"k": 1}, "random_seed": 0},
        "group_subtasks": {"all": ["some", task], "some": []},
        "stereoscope_sensitivity": [
            {"task": task, "metric": "crows_score", "items": 4, "as_scored": 50.0, "otherwise": {"bf16": 51.0}}
        ],
    }
    file = write(tmp_path, Scores({task: crows(28, 4)}, noted=noted))

    def read(file: Path) -> None:
        for scored in find_scored(file.parent):
            assert scored.asking
            assert scored.only([task]).seal("x") is None
            scored.rows_of(next(iter(scored.provenance.tasks), task)) if scored.provenance.tasks else None

    check_any(read, file, file.read_bytes(), "json")


def test_any_experiment_in_a_runs_folder_gives_thresholds_or_one_error(tmp_path: Path) -> None:
    valid = {"name": "x", "retention": {"perplexity_kept": 1.2, "perplexity_broken": 1.6}}
    check_any(lambda file: thresholds_of(file.parent), tmp_path / "experiment.json", json.dumps(valid).encode(), "json")
