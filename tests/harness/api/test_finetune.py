"""`harness.finetune` and `harness.run` as a notebook calls them: settings by name, and checkpoints to score."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from harness import finetune, report, run, score

FEW = {"data_dir": "sample", "num_folds": 3, "max_steps": 2, "per_device_train_batch_size": 4, "report_to": "none"}


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


def test_each_checkpoint_is_scored_on_the_pairs_that_it_never_saw(byte_llama: Path, tmp_path: Path) -> None:
    random.seed(3)
    checkpoints = finetune(byte_llama, tmp_path / "trained", folds=[0, 2], save_strategy="steps", save_steps=1, **FEW)
    drawn = random.random()
    random.seed(3)
    assert drawn == random.random()
    assert [(one.fold, one.step) for one in checkpoints] == [(0, 1), (0, 2), (2, 1), (2, 2)]
    first, last = checkpoints[0], checkpoints[-1]
    assert not set(first.split.held_out) & set(first.split.train)
    assert not set(first.split.held_out) & set(last.split.held_out)
    found = score(last, "crows_pairs_heldout", limit=30)
    assert (found.provenance.stage, found.provenance.step, found.provenance.fold) == ("step", 2, 2)
    assert found["crows_pairs_heldout"]["n"] == min(30, len(last.split.held_out))
    assert found.provenance.checkpoint == str(last.folder)
    found.save(tmp_path / "scores")
    score(byte_llama, "crows_pairs").save(tmp_path / "scores")
    compared = [
        one for one in report(tmp_path / "scores").entries if one.stage == "step" and one.difference is not None
    ]
    assert {one.task for one in compared} == {"crows_pairs_heldout"}
    # The same call again finds everything done.
    again = finetune(byte_llama, tmp_path / "trained", folds=[0, 2], save_strategy="steps", save_steps=1, **FEW)
    assert again == checkpoints


def test_weights_that_were_trained_in_full_are_scored_too(byte_llama: Path, tmp_path: Path) -> None:
    (last,) = finetune(byte_llama, tmp_path, full=True, objective="anti", folds=[1], learning_rate=1e-3, **FEW)
    found = score(last, "crows_pairs_heldout", limit=4).provenance
    assert (found.model, found.pretrained, found.stage) == (byte_llama.name, str(last.folder), "step")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"objectiv": "anti"}, "objectiv"),
        ({"num_folds": "many"}, "num_folds"),
        ({"label_smoothing_factor": 0.1}, "means nothing here"),
    ],
)
def test_a_setting_that_is_none_is_named(byte_llama: Path, tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        finetune(byte_llama, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_experiment_without_a_file_names_the_key_that_is_wrong(tmp_path: Path) -> None:
    asked = {"name": "tiny", "models": [{"name": "a", "pretrained": "b"}], "tasks": ["crows_pairs"]}
    with pytest.raises(ValueError, match=r"^experiment: unknown key 'tusks'"):
        run({**asked, "tusks": 1}, tmp_path)
    with pytest.raises(ValueError, match=r"^experiment: 'output_dir' is set by the experiment itself"):
        run({**asked, "training": {"output_dir": "x"}}, tmp_path)


def test_an_experiment_of_a_name_that_there_is_not_is_told_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no_such: no such experiment file.*demo"):
        run("no_such", tmp_path)
