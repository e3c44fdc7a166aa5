"""The leaderboard ranks what works, marks what broke, and keeps its shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from result_files import TERMS, Scores, crows, step_provenance, stereoset, write, write_run

from harness.reporting.analysis import analyse
from harness.reporting.leaderboard import leaderboard_json, leaderboard_markdown, rows
from harness.reporting.schema import Report
from harness.reporting.stages import find_runs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return analyse(find_runs([write_run(tmp_path_factory.mktemp("board") / "run")]))


def broken_run(folder: Path) -> Report:
    """Step 5 has ICAT 60.2 at LMS 83.3; step 10 has more, 66.7, but its LMS fell from 83.3 to 66.7."""
    write(folder / "base", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
    for step, pro, meaningful in ((5, [1] + [2] * 11, 5), (10, [1] * 6 + [2] * 6, 4)):
        samples = stereoset(pro, meaningful=meaningful)
        told = step_provenance(step, None)
        write(folder / f"step-{step}", Scores({"stereoset_intrasentence": samples}, provenance=told))
    return analyse(find_runs([folder]))


def cells(markdown: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines() if "|" in line[:1]
    ]


def test_steps_are_ranked_by_icat_and_the_base_is_not(report: Report) -> None:
    """ICAT 55.6 at the base, 76.4 at step 10, 83.3 at step 20."""
    assert [row.rank for row in rows(report)] == [None, 2, 1]


def test_a_broken_step_is_marked_and_never_ranked(tmp_path: Path) -> None:
    report = broken_run(tmp_path)
    ranked = rows(report)
    assert [row.rank for row in ranked] == [None, 1, None]
    assert ranked[2].icat is not None
    assert ranked[1].icat is not None
    assert (ranked[2].icat.value or 0) > (ranked[1].icat.value or 0), "else the rank would prove nothing"
    assert "BROKEN" in cells(leaderboard_markdown(report))[-1][-1]


def test_the_table_is_aligned_and_holds_the_numbers(report: Report) -> None:
    table = [line for line in leaderboard_markdown(report).splitlines() if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    header, _, base, _, last = cells(leaderboard_markdown(report))
    told = dict(zip(header, last, strict=True))
    assert told["stage"] == "step 20 (2 folds)"
    assert (told["LMS"], told["SS"], told["ICAT"]) == ("83.3", "50.0", "83.3")
    assert (told["CrowS"], told["abs diff"], told["ppl change"]) == ("55.0", "1.00", "+5.0%")
    assert (told["median"], told["within 1 nat"]) == ("1.00", "0.0")  # exactly 1 nat apart is not within it
    assert dict(zip(header, base, strict=True))["ppl change"] == "\N{EN DASH}"


def test_json_has_one_object_a_stage_with_results_by_task_and_shots(report: Report) -> None:
    board = json.loads(leaderboard_json(report))
    assert [(item["config_general"]["stage"], item["config_general"]["step"]) for item in board] == [
        ("base", None),
        ("step", 10),
        ("step", 20),
    ]
    last = board[-1]
    assert last["config_general"]["model_name"] == "tiny-model"
    assert last["config_general"]["model_dtype"] == "float32"
    assert last["results"]["stereoset_intrasentence|0"]["ss"] == 50.0
    assert last["results"]["crows_pairs_heldout|0"]["crows_score/gender"] == 55.0
    assert last["results"]["crows_pairs_heldout|0"]["abs_logprob_diff_median"] == 1.0
    assert last["results"]["crows_pairs_heldout|0"]["abs_logprob_diff_median/gender"] == 1.0
    assert last["results"]["crows_pairs_heldout|0"]["within_one_nat"] == 0.0
    assert last["versions"]["stereoset|0"] == "1.0"
    assert board[0]["versions"]["crows_pairs_heldout|0"] == "1.0"
    assert set(last["results"]) == set(last["versions"])


def test_a_hostile_name_stays_in_its_cell(tmp_path: Path) -> None:
    told: dict[str, Any] = {"model": "a | b\n| c <script>`x`"}
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, provenance=told))
    markdown = leaderboard_markdown(analyse(find_runs([tmp_path])))
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert r"a \| b \| c \<script\>\`x\`" in lines[2]


def test_what_was_not_scored_is_a_dash(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}))
    header, _, base = cells(leaderboard_markdown(analyse(find_runs([tmp_path]))))
    told = dict(zip(header, base, strict=True))
    assert told["LMS"] == told["ICAT"] == "\N{EN DASH}"
    assert told["CrowS"] == "70.0"
