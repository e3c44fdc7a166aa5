"""Whatever lies in a run's folder, a run goes on, passes a checkpoint over, or says in one error which file it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from any_file import check_any

from harness.data.split import Split
from harness.storage.trainer_state import epoch_of
from training.checkpoints import complete_checkpoints, scheduled_checkpoints, seal
from training.config import TrainingArguments, fingerprint, parse
from training.finished import finished_checkpoints, is_finished
from training.pair_arguments import PairArguments
from training.run import claim

SPLIT = Split(data_sha256="0" * 64, folds=2, fold=0, train=("a", "b"), held_out=("c",))


@pytest.mark.parametrize("name", ["run.json", "split.json"])
def test_any_record_of_a_run_is_its_own_or_one_error(tmp_path: Path, name: str) -> None:
    settings = fingerprint(PairArguments(model_name_or_path="m"), TrainingArguments(output_dir=str(tmp_path)))
    claim(tmp_path, SPLIT, settings, writes=True)
    file = tmp_path / name
    check_any(lambda file: claim(file.parent, SPLIT, settings, writes=False), file, file.read_bytes(), "json")


def test_any_trained_json_is_read_or_one_error_and_names_no_folder_elsewhere(tmp_path: Path) -> None:
    fold = tmp_path / "fold-0"
    fold.mkdir()
    (fold / "split.json").write_text(SPLIT.model_dump_json(), encoding="utf-8")

    def read(file: Path) -> None:
        is_finished(file.parent)
        for checkpoint in finished_checkpoints(tmp_path):
            assert checkpoint.folder.parent == fold

    valid = {"checkpoints": {"checkpoint-5": 0.5, "checkpoint-10": None}, "steps": 10, "seconds": 1.5}
    check_any(read, fold / "trained.json", json.dumps(valid).encode(), "json")


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "checkpoint-5/../..", "checkpoint-5\0", "checkpoint-٣", "x"])
def test_a_checkpoint_named_in_trained_json_is_one_of_the_folds_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "trained.json").write_text(json.dumps({"checkpoints": {name: 1.0}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"trained\.json, key checkpoints"):
        is_finished(tmp_path)


def test_any_manifest_skips_its_checkpoint_or_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-5"
    (folder / "global_step5").mkdir(parents=True)
    for name in ("adapter_model.safetensors", "global_step5/state.pt"):
        (folder / name).write_bytes(b"weights")
    seal(folder)
    file = folder / "manifest.json"
    check_any(lambda _: complete_checkpoints(tmp_path), file, file.read_bytes(), "json")


def test_any_list_of_unscheduled_steps_is_read_or_one_error(tmp_path: Path) -> None:
    check_any(lambda file: scheduled_checkpoints(file.parent), tmp_path / "unscheduled.json", b"[5, 10]", "json")


def test_any_trainer_state_gives_an_epoch_or_one_error(tmp_path: Path) -> None:
    check_any(lambda file: epoch_of(file.parent), tmp_path / "trainer_state.json", b'{"epoch": 1.5, "x": [1]}', "json")


def test_any_config_of_a_training_is_read_or_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def read(file: Path) -> None:
        try:
            parse(["--config", str(file)])
        except SystemExit:
            message = capsys.readouterr().err
            # A setting that the file leaves out is missing on the command line as much as in the file.
            if "arguments are required" not in message:
                raise ValueError(message) from None

    valid = b"model_name_or_path: m\noutput_dir: runs/x\nlearning_rate: 0.001\nfolds: [0, 1]\nnum_folds: 5\nseed: 3\n"
    check_any(read, tmp_path / "training.yaml", valid, "yaml", share=0.3)
