"""Two scored models or stages side by side, and the exit code that a release gate reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from result_files import TERMS, Scores, crows, step_provenance, stereoset, wikitext, write, write_run

from harness.reporting.compare import compare

OTHER = {"model": "other-model", "weights_sha256": "d" * 64, "started_after": "<s>", "started_after_id": 2}


def scored(folder: Path, pro: int, perplexity: float, **told: object) -> Path:
    tasks = {"stereoset_intrasentence": stereoset([pro] * TERMS), "wikitext2": wikitext(perplexity)}
    write(folder, Scores(tasks, provenance=dict(told)))
    return folder


def test_another_model_is_compared_item_by_item_whatever_it_is_called(tmp_path: Path) -> None:
    found = compare(scored(tmp_path / "a", 3, 20), scored(tmp_path / "b", 2, 20.5, **OTHER))
    assert [one.moved for one in found.judgement.family] == ["fell"]
    assert not found.is_worse
    assert "| Stereotype score, StereoSet intrasentence | 36 | 100.0 | 66.7 |" in str(found)
    assert "other-model" in str(found)


def test_a_stage_of_a_run_is_named_by_its_step(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = compare(f"{run}@base", f"{run}@last")
    assert found.judgement.family[0].distance_change == pytest.approx(-16.667, abs=0.01)
    with pytest.raises(ValueError, match=r"several stages; write .*@base or .*@10 or .*@20 or .*@last"):
        compare(run, f"{run}@last")


def test_two_methods_of_several_folds_are_compared_fold_by_fold(tmp_path: Path) -> None:
    """From step 10 to step 20 fold 0 keeps its score of 50 and fold 1 goes from 58.33 to 50."""
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    found = compare(f"{one}@10", f"{other}@20")
    entry = next(one for one in found.entries if (one.task, one.metric) == ("stereoset_intrasentence", "ss"))
    assert (entry.base_value, entry.value) == (pytest.approx(54.167, abs=1e-3), 50)
    assert entry.difference == pytest.approx(-4.167, abs=1e-3)
    assert entry.covers == "items and training"
    crows_score = next(one for one in found.entries if (one.task, one.metric) == ("crows_pairs_heldout", "crows_score"))
    assert (crows_score.base_value, crows_score.value) == (60, 55)
    alone = scored(tmp_path / "alone", 2, 20, **step_provenance(20, None))
    with pytest.raises(ValueError, match="one side is of fold 0, fold 1 and the other of one training"):
        compare(f"{one}@10", alone)


@pytest.mark.parametrize(("pro", "perplexity", "code"), [(2, 20.0, 0), (1, 20.5, 0), (3, 20.0, 1), (2, 88.0, 1)])
def test_a_release_gate_reads_the_exit_code(tmp_path: Path, pro: int, perplexity: float, code: int) -> None:
    """In a shell script, as a gate is one: worse is 1, and the script ends there."""
    a, b = scored(tmp_path / "a", 2, 20), scored(tmp_path / "b", pro, perplexity, **OTHER)
    script = f'set -e\n"{sys.executable}" -m harness compare --fail-if-worse "{a}" "{b}"\necho released'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.endswith("released\n")) == (code, code == 0), done.stderr


def test_what_cannot_be_compared_ends_a_gate_with_2(tmp_path: Path) -> None:
    write(tmp_path / "a", Scores({"crows_pairs": crows(28, 4)}))
    b = scored(tmp_path / "b", 2, 20, **step_provenance(5, None))
    command = [sys.executable, "-m", "harness", "compare", "--fail-if-worse", str(tmp_path / "a"), str(b)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "no task in common" in done.stderr
