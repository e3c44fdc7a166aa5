"""Samples that are not those which were scored are refused by name, before a number is made of them."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from result_files import DATE, Scores, crows, step_provenance, write

from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.analysis import analyse
from harness.reporting.schema import Entry, Report
from harness.reporting.stages import find_runs
from harness.storage.results import PROVENANCE_KEY

SAMPLES = f"samples_crows_pairs_{DATE}.jsonl"


def report_of(folder: Path) -> Report:
    return analyse(find_runs([folder]))


def told_scores() -> dict[str, Any]:
    """What lm-eval notes of 28 pairs of 40, and which version did."""
    benchmark = BENCHMARKS["crows_pairs"]
    metrics = benchmark.metrics([benchmark.record(sample) for sample in crows(28, 4)])
    return {"results": {"crows_pairs": {f"{name},none": value for name, value in metrics.items()}}}


def scores(**provenance: Any) -> Scores:
    versions = {"lm-stereoscope": version("lm-stereoscope")}
    told = {"versions": versions, **provenance}
    return Scores({"crows_pairs": crows(28, 4)}, provenance=told, noted=told_scores())


def test_whole_samples_with_the_scores_they_give_are_reported_without_a_flag(tmp_path: Path) -> None:
    write(tmp_path, scores())
    assert {flag for entry in report_of(tmp_path).entries if entry.part is None for flag in entry.flags} <= {"low_n"}


def test_an_edited_line_is_refused(tmp_path: Path) -> None:
    write(tmp_path, scores())
    file = tmp_path / SAMPLES
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("-34.0", "-26.0", 1), encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"{SAMPLES}: not the samples .* expected 40 lines with sha256 \w+, found 40 "
    ):
        report_of(tmp_path)


@pytest.mark.parametrize("sealed", [True, False])
def test_half_of_the_lines_gone_is_refused_in_old_files_too(tmp_path: Path, sealed: bool) -> None:
    write(tmp_path, scores(**({} if sealed else {"samples": {}})))
    file = tmp_path / SAMPLES
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[::2]), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{SAMPLES}.* expected 40 .*found 20"):
        report_of(tmp_path)


def test_two_models_with_each_others_samples_are_refused(tmp_path: Path) -> None:
    for name, won in (("one", 28), ("two", 20)):
        told: dict[str, Any] = {"model": name, "weights_sha256": name[0] * 64}
        write(tmp_path / name, Scores({"crows_pairs": crows(won, 4)}, provenance=told))
    files = [tmp_path / name / SAMPLES for name in ("one", "two")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    for file, text in zip(files, reversed(texts), strict=True):
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"one/{SAMPLES}: not the samples"):
        report_of(tmp_path)


@pytest.mark.parametrize("metric", ["crows_score", "crows_score/age", "abs_logprob_diff"])
def test_a_score_in_the_results_file_that_its_samples_do_not_give_is_refused(tmp_path: Path, metric: str) -> None:
    file = write(tmp_path, scores())
    results = json.loads(file.read_text(encoding="utf-8"))
    results["results"]["crows_pairs"][f"{metric},none"] = 50.0
    file.write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{file.name}: says that {metric} of crows_pairs is 50.0, but its samples"):
        report_of(tmp_path)


def test_samples_altered_together_with_their_digest_contradict_the_scores(tmp_path: Path) -> None:
    file = write(tmp_path, scores())
    whole = json.loads(file.read_text(encoding="utf-8"))
    write(tmp_path, Scores({"crows_pairs": crows(20, 4)}))
    other = json.loads(file.read_text(encoding="utf-8"))
    whole[PROVENANCE_KEY]["samples"] = other[PROVENANCE_KEY]["samples"]
    file.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(ValueError, match=r"says that crows_score of crows_pairs is 70.0, but its samples give 50.0"):
        report_of(tmp_path)


def test_scores_of_another_version_of_this_project_are_not_held_against_the_samples(tmp_path: Path) -> None:
    file = write(tmp_path, scores(versions={"lm-stereoscope": "0.0.1"}))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"crows_score,none": 70.0', '"crows_score,none": 71.0'), encoding="utf-8")
    assert report_of(tmp_path).entries


def entry_of(report: Report, step: int | None) -> Entry:
    return next(entry for entry in report.entries if entry.step == step and entry.metric == "crows_score")


def test_samples_without_a_digest_are_reported_and_flagged(tmp_path: Path) -> None:
    write(tmp_path / "base", scores(samples={}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(20, 2)}, provenance=step_provenance(5, 0)))
    report = report_of(tmp_path)
    assert "unsealed" in entry_of(report, None).flags
    assert "unsealed" in entry_of(report, 5).flags  # its difference is as little checked as the base
    assert [stage.scorings[0].sealed for stage in report.stages] == [[], ["crows_pairs_heldout"]]
