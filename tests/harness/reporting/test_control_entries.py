"""What a step does beyond its control, counted by hand; seeds as repeats of one measurement."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from result_files import PAIRS, TERMS, Scores, crows, step_provenance, stereoset, wikitext, write, write_run

from harness.reporting.analysis import analyse
from harness.reporting.build import build_report
from harness.reporting.index import Index
from harness.reporting.leaderboard import rows
from harness.reporting.schema import Entry, Report
from harness.reporting.stages import find_runs


def control(seed: int, **more: Any) -> dict[str, Any]:
    made = {"stage": "control", "control": "noise", "matched_by": "perplexity", "seed": seed}
    return {**made, "weights_sha256": f"{seed}".ljust(64, "d"), **more}


def write_control(folder: Path, seed: int, won: int, gap: float, pro: list[int], **more: Any) -> None:
    tasks = {"crows_pairs": crows(won, gap), "stereoset_intrasentence": stereoset(pro), "wikitext2": wikitext(21)}
    write(folder / f"noise-{seed}", Scores(tasks, provenance=control(seed, **more)))


def report_of(folder: Path) -> Report:
    return analyse(find_runs([folder]))


def entry_of(report: Report, stage: str, step: int | None, task: str, metric: str) -> Entry:
    (found,) = (
        entry
        for entry in report.entries
        if (entry.stage, entry.step, entry.task, entry.metric, entry.part) == (stage, step, task, metric, None)
    )
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Noise that wins 26 of 40 pairs with gaps of 3.5, and leaves SS at 66.67; seed 1: 24 with 2.5, and SS 50."""
    folder = write_run(tmp_path_factory.mktemp("controls") / "run")
    write_control(folder, 0, 26, 3.5, [2] * TERMS)
    write_control(folder, 1, 24, 2.5, [1] * 6 + [2] * 6)
    return report_of(folder)


def test_a_control_is_compared_with_the_base_and_pooled_over_its_seeds(report: Report) -> None:
    whole = entry_of(report, "control", None, "crows_pairs", "crows_score")
    assert (whole.value, whole.base_value, whole.n, whole.seeds, whole.folds) == (62.5, 70.0, PAIRS, [0, 1], [])
    assert whole.fold_values == [65.0, 60.0]
    assert [one.seed for one in whole.repeats] == [0, 1]
    assert (whole.control, whole.beyond_change) == ("noise", None)
    held_out = entry_of(report, "control", None, "crows_pairs_heldout", "crows_score")
    assert (held_out.value, held_out.base_value, held_out.n) == (62.5, 70.0, PAIRS)


def test_what_the_last_step_does_beyond_the_control_is_the_difference_of_distances(report: Report) -> None:
    """CrowS 55 is 5 from 50, the control's mean 62.5 is 12.5 from it; the gaps are 1 and (3.5 + 2.5) / 2."""
    score = entry_of(report, "step", 20, "crows_pairs_heldout", "crows_score")
    assert score.beyond_change == pytest.approx(5 - 12.5)
    assert score.beyond_low is not None
    assert score.beyond_high is not None
    assert score.beyond_low <= -7.5 <= score.beyond_high
    gap = entry_of(report, "step", 20, "crows_pairs_heldout", "abs_logprob_diff")
    assert (gap.beyond_change, gap.beyond_low, gap.beyond_high) == (-2.0, -2.0, -2.0)
    ss = entry_of(report, "step", 20, "stereoset_intrasentence", "ss")
    assert ss.beyond_change == pytest.approx(0 - ((66.666667 + 50) / 2 - 50), abs=1e-5)
    for task, metric in (("stereoset_intrasentence", "icat"), ("wikitext2", "word_perplexity")):
        assert entry_of(report, "step", 20, task, metric).beyond_change is None


def test_no_other_step_and_no_part_is_compared_with_the_control(report: Report) -> None:
    beside = [entry for entry in report.entries if entry.beyond_change is not None]
    assert {(entry.stage, entry.step, entry.part) for entry in beside} == {("step", 20, None)}


def test_a_step_that_overshoots_the_ideal_is_no_better_than_noise_that_comes_as_near(tmp_path: Path) -> None:
    """45 is as far from 50 as 55."""
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(18, 4)}, provenance=step_provenance(5, None)))
    write(tmp_path / "noise", Scores({"crows_pairs": crows(22, 4)}, provenance=control(0)))
    assert entry_of(report_of(tmp_path), "step", 5, "crows_pairs_heldout", "crows_score").beyond_change == 0


def test_a_control_is_never_ranked_nor_the_last_step(report: Report) -> None:
    (noise,) = (row for row in rows(report) if row.stage.stage == "control")
    assert noise.rank is None
    index = Index.of(report)
    (stages,) = index.families()
    assert (stages[-1].stage, stages[-1].step) == ("step", 20)
    assert index.controls(stages[-1]) == [noise.stage]
    assert noise.stage.retention is not None
    assert noise.stage.retention.perplexity_ratio == pytest.approx(1.05)


def test_the_page_shows_the_control_and_by_what_it_was_sized(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    write_control(folder, 0, 26, 3.5, [2] * TERMS, matched_by="norm")
    page = (build_report([folder]) / "report.html").read_text(encoding="utf-8")
    assert "noise control" in page
    assert "it changes the weights as much" in page


def test_a_folder_of_a_control_alone_is_reported_without_a_verdict(tmp_path: Path) -> None:
    write_control(tmp_path / "run", 0, 26, 3.5, [2] * TERMS)
    report = Report.model_validate_json((build_report([tmp_path / "run"]) / "report.json").read_text())
    assert [stage.stage for stage in report.stages] == ["control"]


def write_seeds(folder: Path, folds: dict[int, tuple[int, ...]]) -> None:
    write(folder / "base", Scores({"crows_pairs": crows(28, 4), "stereoset_intrasentence": stereoset([2] * TERMS)}))
    for seed, its in folds.items():
        for fold in its:
            tasks = {
                "crows_pairs_heldout": crows(22 - 2 * seed, 1, range(fold, PAIRS, 2)),
                "stereoset_intrasentence": stereoset([1] * (6 + fold) + [2] * (6 - fold)),
            }
            told = step_provenance(10, fold, seed=seed, weights_sha256=f"{seed}{fold}".ljust(64, "c"))
            write(folder / f"seed-{seed}" / f"fold-{fold}", Scores(tasks, provenance=told))


def test_each_seed_is_a_complete_set_of_held_out_pairs(tmp_path: Path) -> None:
    write_seeds(tmp_path, {0: (0, 1), 1: (0, 1)})
    report = report_of(tmp_path)
    score = entry_of(report, "step", 10, "crows_pairs_heldout", "crows_score")
    assert (score.value, score.base_value, score.n, score.fold_values) == (52.5, 70.0, PAIRS, [55.0, 50.0])
    assert [(one.seed, one.fold) for one in score.repeats] == [(0, None), (1, None)]
    ss = entry_of(report, "step", 10, "stereoset_intrasentence", "ss")
    assert ss.fold_values == pytest.approx([50, 47.222222] * 2)
    assert [(one.seed, one.fold) for one in ss.repeats] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    (stage,) = (stage for stage in report.stages if stage.stage == "step")
    assert (stage.folds, stage.seeds, stage.left_out) == ([0, 1], [0, 1], [])


def test_a_seed_that_lacks_a_fold_is_left_out_of_the_pooled_pairs_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_seeds(tmp_path, {0: (0, 1), 1: (0,)})
    with caplog.at_level(logging.WARNING):
        report = report_of(tmp_path)
    score = entry_of(report, "step", 10, "crows_pairs_heldout", "crows_score")
    assert (score.value, score.n, score.seeds) == (55.0, PAIRS, [0])
    assert "seed 1 has folds (0,) and not (0, 1), so its held-out pairs are left out" in caplog.text
