"""A split counts for the weights that were trained with it, and for no others."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from harness.data import crows_pairs
from harness.data.sources import SAMPLE, SOURCES, sha256
from harness.data.split import MANIFEST, SPLIT_FILE, Split, bind, find_split
from harness.storage.files import sha256_file
from harness.storage.weights import weights_sha256

FILE = SAMPLE / SOURCES["crows_pairs"].path
NAMES = [pair.pair_id for pair in crows_pairs.read(FILE)]


def split_of(*held_out: int) -> Split:
    return Split(
        data_sha256=sha256(FILE),
        folds=3,
        fold=0,
        train=tuple(name for row, name in enumerate(NAMES) if row not in held_out),
        held_out=tuple(NAMES[row] for row in held_out),
    )


def checkpoint_of(folder: Path, weights: str, *held_out: int, model_folder: Path | None = None) -> Path:
    """A folder with weights and their split, as training leaves it."""
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(weights, encoding="utf-8")
    base = "nobody/base" if model_folder is None else str(model_folder)
    bind(folder, split_of(*held_out), base, "" if model_folder is None else weights_sha256(model_folder))
    digests = {file.name: sha256_file(file) for file in folder.iterdir()}
    (folder / MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
    return folder


def heldout_rows(model_folder: Path, **metadata: object) -> list[int]:
    told = {"pretrained": str(model_folder), "data_dir": "sample", **metadata}
    return list(crows_pairs.dataset(held_out=True, **told)["test"]["row"])


def test_a_checkpoint_is_scored_on_what_its_own_split_holds_out(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "checkpoint-5", "weights", 3, 5)
    assert heldout_rows(model_folder, peft=str(checkpoint)) == [3, 5]


def test_rows_say_whether_their_words_were_exchanged_in_training(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "checkpoint-5", "weights", *range(0, 90, 2))
    told = {"pretrained": str(model_folder), "data_dir": "sample"}
    rows = crows_pairs.dataset(held_out=True, **told, peft=str(checkpoint))["test"]
    assert set(rows["words_seen"]) == {True, False}
    assert "words_seen" not in crows_pairs.dataset(**told)["test"].column_names


def test_another_checkpoints_split_is_refused(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "one" / "checkpoint-5", "weights", 3, 5)
    other = checkpoint_of(tmp_path / "other" / "checkpoint-5", "other weights", 4)
    shutil.copy(other / SPLIT_FILE, checkpoint / SPLIT_FILE)
    with pytest.raises(ValueError, match=r"crows_pairs_heldout: .*one/.*split\.json belongs to other weights"):
        heldout_rows(model_folder, peft=str(checkpoint))


def test_weights_put_into_another_checkpoints_folder_are_refused(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "checkpoint-5", "weights", 3, 5)
    (checkpoint / "adapter_model.safetensors").write_text("others", encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected sha256 \w+, found \w+"):
        find_split(checkpoint)


def test_a_checkpoint_whose_own_split_is_gone_does_not_take_the_folds(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "fold-0" / "checkpoint-5", "weights", 3, 5)
    (checkpoint / SPLIT_FILE).rename(tmp_path / "fold-0" / SPLIT_FILE)
    fold = tmp_path / "fold-0" / SPLIT_FILE
    fold.write_text(split_of(7).model_dump_json(exclude_none=True), encoding="utf-8")
    with pytest.raises(ValueError, match=r"its manifest\.json lists a split\.json, which is not there"):
        find_split(checkpoint)


def old_checkpoint(folder: Path) -> Path:
    """As training left it before checkpoints had splits of their own."""
    checkpoint = folder / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    weights = checkpoint / "adapter_model.safetensors"
    weights.write_text("weights", encoding="utf-8")
    (checkpoint / MANIFEST).write_text(json.dumps({weights.name: sha256_file(weights)}), encoding="utf-8")
    (folder / SPLIT_FILE).write_text(split_of(7).model_dump_json(exclude_none=True), encoding="utf-8")
    return checkpoint


def test_a_checkpoint_of_before_is_scored_with_a_warning(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = old_checkpoint(tmp_path / "fold-0")
    with caplog.at_level(logging.WARNING):
        assert heldout_rows(model_folder, peft=str(checkpoint)) == [7]
    assert f"{tmp_path / 'fold-0' / SPLIT_FILE} does not say which weights" in caplog.text


def test_other_weights_in_a_checkpoint_of_before_are_refused_by_its_manifest(tmp_path: Path) -> None:
    checkpoint = old_checkpoint(tmp_path / "fold-0")
    (checkpoint / "adapter_model.safetensors").write_text("others", encoding="utf-8")
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors: not the weights that the training run"):
        find_split(checkpoint)


def test_the_base_model_is_scored_on_the_pairs_of_its_checkpoint(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "checkpoint-5", "weights", 3, model_folder=model_folder)
    assert heldout_rows(model_folder, split=str(checkpoint / SPLIT_FILE)) == [3]
    assert heldout_rows(model_folder, split=str(checkpoint)) == [3]


def test_a_model_that_is_not_the_checkpoints_base_is_refused_its_split(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "checkpoint-5", "weights", 3, model_folder=model_folder)
    other = tmp_path / "elsewhere" / "model"
    shutil.copytree(model_folder, other)
    (other / "model.safetensors").write_text("others", encoding="utf-8")
    with pytest.raises(ValueError, match=r"split=.* is of weights with sha256 \w+, trained from .* but those of"):
        heldout_rows(other, split=str(checkpoint / SPLIT_FILE))


def test_an_adapter_without_a_split_is_refused_another_ones(model_folder: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "run" / "a" / "checkpoint-5", "weights", 3, model_folder=model_folder)
    stranger = tmp_path / "elsewhere" / "x" / "adapter"
    stranger.mkdir(parents=True)
    (stranger / "adapter_model.safetensors").write_text("others", encoding="utf-8")
    with pytest.raises(ValueError, match=f"but those of {stranger} have"):
        heldout_rows(model_folder, peft=str(stranger), split=str(checkpoint / SPLIT_FILE))
