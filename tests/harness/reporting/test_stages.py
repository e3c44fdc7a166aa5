"""Result files find their model and step, and contradictions between files are named rather than averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from result_files import Scores, crows, step_provenance, stereoset, wikitext, write

from harness.reporting.stages import Family, families, find_runs


def family_of(folder: Path) -> Family:
    (family,) = families(find_runs([folder]))
    return family


def write_folds(folder: Path, steps: dict[int, list[int]]) -> None:
    """`steps` maps a fold to the steps of its checkpoints."""
    for fold, taken in steps.items():
        for step in taken:
            scores = Scores({"wikitext2": wikitext(20)}, provenance=step_provenance(step, fold))
            write(folder / f"fold-{fold}" / f"step-{step}", scores)


def steps_of(folder: Path) -> list[tuple[int | None, list[int]]]:
    return [(stage.step, stage.folds) for stage in family_of(folder).steps]


def test_folds_are_brought_together_by_step(tmp_path: Path) -> None:
    write_folds(tmp_path, {0: [10, 20], 1: [10, 20]})
    assert steps_of(tmp_path) == [(10, [0, 1]), (20, [0, 1])]


def test_folds_of_slightly_unequal_length_are_brought_together_by_rank(tmp_path: Path) -> None:
    write_folds(tmp_path, {0: [75, 150], 1: [76, 152], 2: [74, 149]})
    assert steps_of(tmp_path) == [(76, [0, 1, 2]), (152, [0, 1, 2])]


def test_a_fold_that_is_not_done_yet_is_not_mixed_with_later_steps(tmp_path: Path) -> None:
    write_folds(tmp_path, {0: [10, 20], 1: [10]})
    assert steps_of(tmp_path) == [(10, [0, 1]), (20, [0])]
    write_folds(tmp_path / "other", {0: [10], 1: [20]})
    assert (20, [1]) in steps_of(tmp_path / "other")


def write_ends(folder: Path, trainings: dict[tuple[int | None, int], dict[int, float]]) -> None:
    """`trainings` maps seed and fold to the steps of the checkpoints, and these to epochs."""
    for (seed, fold), taken in trainings.items():
        for step, epoch in taken.items():
            told = step_provenance(
                step, fold, epoch=epoch, seed=seed, weights_sha256=f"{seed}{fold}{step}".ljust(64, "c")
            )
            scores = Scores({"wikitext2": wikitext(20)}, provenance=told)
            write(folder / f"seed-{seed}" / f"fold-{fold}" / f"step-{step}", scores)


def test_folds_that_end_at_steps_10_and_11_of_one_epoch_are_one_stage(tmp_path: Path) -> None:
    write_ends(tmp_path, {(None, 0): {10: 1.0}, (None, 1): {11: 1.0}})
    assert steps_of(tmp_path) == [(11, [0, 1])]


def test_the_ends_of_folds_stand_together_though_one_has_a_checkpoint_more(tmp_path: Path) -> None:
    write_ends(tmp_path, {(None, 0): {5: 0.5, 10: 1.0}, (None, 1): {5: 0.45, 10: 0.91, 11: 1.0}})
    assert steps_of(tmp_path) == [(5, [0, 1]), (10, [1]), (11, [0, 1])]


def test_a_fold_that_ended_earlier_is_named_as_left_out_of_the_later_step(tmp_path: Path) -> None:
    write_ends(tmp_path, {(None, 0): {10: 1.0}, (None, 1): {20: 2.0}})
    stages = family_of(tmp_path).steps
    assert [(stage.step, [one.fold for one in stage.left_out]) for stage in stages] == [(10, [1]), (20, [0])]


def test_seeds_of_every_fold_stand_together_in_order(tmp_path: Path) -> None:
    ends = {(seed, fold): {5: 0.5, 10 + fold: 1.0} for seed in (1, 0) for fold in (1, 0)}
    write_ends(tmp_path, ends)
    last = family_of(tmp_path).steps[-1]
    assert [(one.seed, one.fold) for one in last.checkpoints] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (last.folds, last.seeds, last.left_out) == ([0, 1], [0, 1], ())
    assert [(one.seed, one.fold) for one in last.scorings()] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_training_that_is_not_done_yet_is_left_out_of_later_steps(tmp_path: Path) -> None:
    write_ends(tmp_path, {(0, 0): {75: 1.0, 150: 2.0}, (0, 1): {76: 1.0, 152: 2.0}, (1, 0): {74: 1.0}})
    stages = family_of(tmp_path).steps
    assert [(stage.step, len(stage.checkpoints)) for stage in stages] == [(76, 3), (152, 2)]
    assert [(one.seed, one.fold) for one in stages[-1].left_out] == [(1, 0)]


def test_a_step_with_and_without_a_seed_is_refused(tmp_path: Path) -> None:
    write_ends(tmp_path, {(None, 0): {10: 1.0}, (0, 0): {10: 1.0}})
    with pytest.raises(ValueError, match="no seed, but other checkpoints of the same step have one"):
        family_of(tmp_path)


def test_controls_are_no_steps_and_their_seeds_stand_together(tmp_path: Path) -> None:
    write_ends(tmp_path, {(None, 0): {10: 1.0}})
    for seed in (1, 0):
        told = {"stage": "control", "control": "noise", "seed": seed, "weights_sha256": f"{seed}".ljust(64, "d")}
        write(tmp_path / f"noise-{seed}", Scores({"wikitext2": wikitext(20)}, provenance=told))
    family = family_of(tmp_path)
    assert [stage.stage for stage in family.stages] == ["step", "control"]
    (control,) = family.controls
    assert (control.seeds, control.folds, control.step) == ([0, 1], [], None)


def test_tasks_of_the_same_weights_may_lie_in_several_files(tmp_path: Path) -> None:
    write(tmp_path / "a", Scores({"crows_pairs": crows(28, 4)}))
    write(tmp_path / "b", Scores({"stereoset_intrasentence": stereoset([2] * 12)}))
    base = family_of(tmp_path).base
    assert base is not None
    assert base.tasks == ("crows_pairs", "stereoset_intrasentence")
    assert [scoring.results.split("/")[0] for scoring in base.scorings()] == ["a", "b"]


def test_tasks_scored_into_one_folder_by_several_commands_add_up_and_the_newest_of_each_counts(tmp_path: Path) -> None:
    earlier = Scores({"crows_pairs": crows(28, 4), "wikitext2": wikitext(20)})
    write(tmp_path / "model", earlier, "2026-01-01T00-00-00")
    write(tmp_path / "model", Scores({"crows_pairs": crows(4, 28)}), "2026-01-02T00-00-00")
    base = family_of(tmp_path).base
    assert base is not None
    assert base.tasks == ("crows_pairs", "wikitext2")
    dates = {task: scored.file.stem for task in base.tasks if (scored := base.checkpoints[0].scored_on(task))}
    assert dates == {"crows_pairs": "results_2026-01-02T00-00-00", "wikitext2": "results_2026-01-01T00-00-00"}


@pytest.mark.parametrize("other", [{"weights_sha256": "c" * 64}, {"dtype": "bfloat16"}, {"inputs_sha256": "d" * 64}])
def test_earlier_scores_of_other_weights_or_conditions_in_one_folder_do_not_count(
    other: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path / "model", Scores({"wikitext2": wikitext(20)}), "2026-01-01T00-00-00")
    write(tmp_path / "model", Scores({"crows_pairs": crows(28, 4)}, provenance=other), "2026-01-02T00-00-00")
    base = family_of(tmp_path).base
    assert base is not None
    assert base.tasks == ("crows_pairs",)


def test_a_runs_stage_counts_as_it_was_scored_last(tmp_path: Path) -> None:
    run = {"inputs_sha256": "d" * 64}
    write(tmp_path / "base", Scores({"wikitext2": wikitext(20)}, provenance=run), "2026-01-01T00-00-00")
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}, provenance=run), "2026-01-02T00-00-00")
    base = family_of(tmp_path).base
    assert base is not None
    assert base.tasks == ("crows_pairs",)


def test_the_same_task_twice_names_both_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, Scores({"crows_pairs": crows(28, 4)}))
    with pytest.raises(
        ValueError, match=r"a/results_.*b/results_.* both hold crows_pairs of tiny-model base: keep one"
    ):
        family_of(tmp_path)


def test_other_weights_under_the_same_name_name_both_files(tmp_path: Path) -> None:
    write(tmp_path / "a", Scores({"crows_pairs": crows(28, 4)}))
    other: dict[str, Any] = {"weights_sha256": "d" * 64}
    write(tmp_path / "b", Scores({"wikitext2": wikitext(20)}, provenance=other))
    with pytest.raises(
        ValueError, match=r"a/results_.*b/results_.*different weights \(bbbbbbbbbbbb and dddddddddddd\)"
    ):
        family_of(tmp_path)


def test_a_step_with_and_without_a_fold_is_refused(tmp_path: Path) -> None:
    write_folds(tmp_path, {0: [10]})
    write(tmp_path / "x", Scores({"crows_pairs": crows(1, 1)}, provenance=step_provenance(10, None)))
    with pytest.raises(ValueError, match="no fold, but other checkpoints of the same step have one"):
        family_of(tmp_path)


def test_runs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / name / "run" for name in ("first", "second")]
    for folder in folders:
        write(folder, Scores({"crows_pairs": crows(28, 4)}))
    assert [run.name for run in find_runs(folders)] == ["first/run", "second/run"]
    assert [run.name for run in find_runs(folders[:1])] == ["run"]


def test_a_folder_named_twice_missing_or_empty_is_named(tmp_path: Path) -> None:
    write(tmp_path / "run", Scores({"crows_pairs": crows(28, 4)}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="run: the same run folder is named twice"):
        find_runs([tmp_path / "run", tmp_path / "empty" / ".." / "run"])
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        find_runs([tmp_path / "absent"])
    with pytest.raises(FileNotFoundError, match="empty: nothing scored in this folder"):
        find_runs([tmp_path / "empty"])
