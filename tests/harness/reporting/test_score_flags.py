"""Scores that ties decide, or that a choice moves which says nothing of the model, carry a flag that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import TERMS, Scores, crows, stereoset, write

from harness.reporting.analysis import analyse
from harness.reporting.leaderboard import rows
from harness.reporting.schema import Entry, Report
from harness.reporting.stages import find_runs
from harness.storage.sensitivity import Sensitivity, add_sensitivity


def flagged(report: Report, flag: str) -> set[tuple[str, str, str | None]]:
    return {(entry.task, entry.metric, entry.part) for entry in report.entries if flag in entry.flags}


def whole(report: Report, task: str, metric: str) -> Entry:
    return next(entry for entry in report.entries if (entry.task, entry.metric, entry.part) == (task, metric, None))


@pytest.mark.parametrize(("tied", "expected"), [(0, False), (1, False), (2, True)])
def test_more_than_one_tie_in_a_hundred_is_flagged_wherever_the_task_is_shown(
    tmp_path: Path, tied: int, expected: bool
) -> None:
    many = crows(60, 4, range(100))
    for sample in many[:tied]:
        sample["filtered_resps"] = [["-30.0", "False"], ["-30.0", "False"]]
    write(tmp_path, Scores({"crows_pairs": many, "stereoset_intrasentence": stereoset([2] * TERMS)}))
    report = analyse(find_runs([tmp_path]))
    assert whole(report, "crows_pairs", "ties").value == tied
    found = flagged(report, "ties")
    assert (("crows_pairs", "crows_score", None) in found) == expected
    assert (("crows_pairs", "crows_score", "age") in found) == expected
    assert not any(task.startswith("stereoset") for task, _, _ in found)
    assert ("ties" in rows(report)[0].flags) == expected


def test_a_score_that_a_choice_moves_beyond_half_its_interval_is_flagged(tmp_path: Path) -> None:
    file = write(tmp_path, Scores({"crows_pairs": crows(28, 4)}))
    entry = whole(analyse(find_runs([tmp_path])), "crows_pairs", "crows_score")
    assert entry.low is not None
    assert entry.high is not None
    half = (entry.high - entry.low) / 2
    for move, expected in ((0.99 * half, set()), (1.01 * half, {("crows_pairs", "crows_score", None)})):
        checked = Sensitivity(
            task="crows_pairs",
            metric="crows_score",
            items=20,
            as_scored=60.0,
            otherwise={"float32": 60.0, "after </s> (2)": 60.0 - move},
        )
        add_sensitivity(file, [checked])
        assert flagged(analyse(find_runs([tmp_path])), "sensitive") == expected
