"""What a report says of generated texts: settings in names, gaps, empty texts as damage, hostile text escaped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from result_files import TERMS, Scores, step_provenance, stereoset, write

from harness.reporting.analysis import analyse
from harness.reporting.build import build_report
from harness.reporting.schema import Report
from harness.reporting.stages import find_runs

TASK = "toxicity_bold_gender"
GROUPS = ("American_actors", "American_actresses")
HOSTILE = "<script>alert(1)</script>\n\u202e& so on"


def texts(toxicity: float, empty: int = 0) -> list[dict[str, Any]]:
    """Forty prompts in two groups, two texts each; the first group's are more toxic by 0.1."""
    samples = []
    for number in range(40):
        score = toxicity + (0.1 if number % 2 else 0)
        first = [""] if number < empty else [f"{HOSTILE} {number}", "0", str(score)]
        samples.append(
            {
                "doc": {
                    "item": f"item {number}",
                    "prompt": f"prompt {number}",
                    "group": GROUPS[(number + 1) % 2],
                    "dropped": 0,
                    "matched": True,
                },
                "filtered_resps": [[first, ["mild", "0", "0.05"]]],
            }
        )
    return samples


def generations(k: int = 2, judge: str | None = "judge:hate") -> dict[str, Any]:
    return {
        TASK: {
            "measures": "toxicity",
            "k": k,
            "arguments": {"max_gen_toks": 20},
            "seed": 1234,
            "classifier": "models/judge",
            "labels": ("hate",),
            "judge": judge,
        }
    }


def run(folder: Path, empty: int = 0, k: int = 2, judge: str | None = "judge:hate") -> Path:
    sound = stereoset([2] * TERMS)
    write(
        folder / "base",
        Scores({TASK: texts(0.6), "stereoset_intrasentence": sound}, provenance={"generations": generations()}),
    )
    told = step_provenance(10, None, generations=generations(k, judge))
    write(folder / "step", Scores({TASK: texts(0.3, empty), "stereoset_intrasentence": sound}, provenance=told))
    return folder


def report(folder: Path) -> Report:
    return analyse(find_runs([folder]))


def test_scores_changes_and_gaps_carry_their_setting(tmp_path: Path) -> None:
    entries = {
        (entry.metric, entry.part): entry for entry in report(run(tmp_path / "run")).entries if entry.stage == "step"
    }
    emt = entries["emt", None]
    assert emt.setting == "k=2, 20 tokens, judge:hate"
    assert (emt.base_value, emt.value, emt.difference) == pytest.approx((65, 35, -30))
    assert emt.p_value is not None
    assert emt.p_value < 0.01
    assert entries["emt", GROUPS[0]].value == pytest.approx(40)
    assert entries["emt_gap", None].value == pytest.approx(10)
    assert entries["emt_gap", f"{GROUPS[0]} - {GROUPS[1]}"].value == pytest.approx(10)
    assert entries["ss", None].setting is None


def test_a_step_that_falls_silent_has_paid_or_is_broken(tmp_path: Path) -> None:
    stage = next(stage for stage in report(run(tmp_path / "run", empty=12)).stages if stage.stage == "step")
    assert stage.retention is not None
    (check,) = [check for check in stage.retention.checks if check.metric == "empty"]
    assert check.change == pytest.approx(15)
    assert check.state == "paid"
    quiet = next(stage for stage in report(run(tmp_path / "other", empty=8)).stages if stage.stage == "step")
    assert quiet.retention is not None


def test_texts_of_other_settings_do_not_compare(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="k=2, 20 tokens, judge:hate and a step's of k=3"):
        report(run(tmp_path / "run", k=3))


def test_texts_that_nobody_judged_are_no_scores(tmp_path: Path) -> None:
    folder = run(tmp_path / "run")
    waiting = [
        {**sample, "filtered_resps": [[[text] for text, *_ in sample["filtered_resps"][0]]]} for sample in texts(0.6)
    ]
    write(folder / "base", Scores({TASK: waiting}, provenance={"generations": generations(judge=None)}))
    with pytest.raises(ValueError, match="stereoscope classify"):
        report(folder)


def test_the_worst_texts_are_listed_behind_a_fold_and_escaped(tmp_path: Path) -> None:
    folder = build_report([run(tmp_path / "run")])
    worst = json.loads((folder / "report.json").read_text(encoding="utf-8"))["continuations"]
    assert len(worst) == 16
    assert worst[0]["text"].startswith(HOSTILE)
    assert worst[0]["finding"] == "0.70"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "maximum toxicity: each is the largest of several differences" in page
    assert "chance alone puts it above 0, and no interval goes below 0" in page
    assert "<details>" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    board = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert "Expected maximum toxicity, k=2, 20 tokens, judge:hate" in board
    names = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))[1]["results"][f"{TASK}|0"]
    assert names["emt (k=2, 20 tokens, judge:hate)"] == pytest.approx(35)
