"""How many of a task's items were scored is said with every number, in items and not in rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import Sample, Scores, crows, step_provenance, write

from harness.reporting.analysis import analyse
from harness.reporting.schema import Entry
from harness.reporting.stages import find_runs


def entries_of(folder: Path) -> list[Entry]:
    return analyse(find_runs([folder])).entries


def score_of(folder: Path, step: int | None = None, part: str | None = None) -> Entry:
    return next(
        entry for entry in entries_of(folder) if (entry.step, entry.metric, entry.part) == (step, "crows_score", part)
    )


def test_a_limited_task_says_how_many_items_it_has(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, of=1508))
    assert {(entry.n, entry.of) for entry in entries_of(tmp_path) if entry.part is None} == {(40, 1508)}
    assert "limited" in score_of(tmp_path).flags
    age = score_of(tmp_path, part="age")
    assert (age.n, age.of) == (20, None)
    assert "limited" in age.flags


def test_a_whole_task_is_not_limited(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, of=40))
    assert (score_of(tmp_path).of, score_of(tmp_path, part="age").of) == (40, 20)
    assert "limited" not in score_of(tmp_path).flags


def test_files_of_before_have_the_number_in_what_lm_eval_notes(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, noted={"n-samples": {"crows_pairs": {"original": 1508}}}))
    assert score_of(tmp_path).of == 1508


def test_nothing_is_said_where_nothing_is_recorded(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}))
    assert score_of(tmp_path).of is None
    assert "limited" not in score_of(tmp_path).flags


def test_the_folds_held_out_pairs_add_up(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}, of=40))
    for fold in (0, 1):
        told = step_provenance(5, fold)
        pairs = range(fold, 20, 2)
        write(tmp_path / str(fold), Scores({"crows_pairs_heldout": crows(28, 4, pairs)}, provenance=told, of=20))
    entry = score_of(tmp_path, 5)
    assert (entry.n, entry.of) == (20, 40)
    assert "limited" in entry.flags
    base = next(one for one in entries_of(tmp_path) if one.step is None and one.task == "crows_pairs_heldout")
    assert (base.n, base.of) == (20, 40)


def prompts(pairs: int) -> list[Sample]:
    """Each pair in both orders, as the prompt form asks it."""
    return [
        {
            "doc": {**sample["doc"], "rotation": rotation, "order": ["more", "less"][:: 1 - 2 * rotation]},
            "filtered_resps": sample["filtered_resps"],
        }
        for sample in crows(28, 4, range(pairs))
        for rotation in (0, 1)
    ]


@pytest.mark.parametrize(("rows", "n"), [(80, 40), (7, 4)])
def test_rows_of_the_prompt_form_are_counted_as_pairs(tmp_path: Path, rows: int, n: int) -> None:
    write(tmp_path, Scores({"crows_pairs_prompt": prompts(40)[:rows]}, of=80))
    entry = score_of(tmp_path)
    assert (entry.n, entry.of) == (n, 40)
    assert ("limited" in entry.flags) == (rows < 80)
