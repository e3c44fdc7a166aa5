"""A folder that cannot be written, and a disk that runs full."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import zeros

from harness.data.crows_pairs import Pair
from harness.data.split import Split
from harness.storage.files import require_writable
from training.checkpoints import complete_checkpoints
from training.config import TrainingArguments
from training.disk import full_disk_explained
from training.pair_arguments import PairArguments
from training.run import train_fold


def test_a_folder_below_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"output_dir .*file/out cannot be written \(Not a directory\)"):
        require_writable(tmp_path / "file" / "out")


def test_a_folder_that_no_one_can_write_is_refused() -> None:
    with pytest.raises(OSError, match="output_dir /proc/stereoscope cannot be written"):
        require_writable(Path("/proc/stereoscope"))


def test_a_folder_that_can_be_written_is_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "out")
    assert list((tmp_path / "new" / "out").iterdir()) == []


def test_an_error_of_another_kind_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="of another kind"), full_disk_explained(tmp_path, tmp_path / ".saving"):
        raise RuntimeError("of another kind")


def test_a_write_without_space_is_explained_and_its_half_checkpoint_removed(tmp_path: Path) -> None:
    saving = tmp_path / ".saving"
    (saving / "checkpoint-5").mkdir(parents=True)
    (saving / "checkpoint-5" / "optimizer.pt").write_bytes(bytes(2_000_000))
    with (
        pytest.raises(OSError, match=r"the disk is full .* had 2\.0 MB so far.*make room") as caught,
        full_disk_explained(tmp_path, saving),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    assert not saving.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_errors_of_safetensors_and_torch_on_a_full_disk_are_known(small_disk: Path) -> None:
    import torch

    for number, save in enumerate((save_file, torch.save)):
        saving = small_disk / f".saving-{number}"
        saving.mkdir()
        with pytest.raises(OSError, match="the disk is full"), full_disk_explained(small_disk, saving):
            save({"weight": zeros(2_000_000)}, str(saving / "weights"))
        assert not saving.exists()


@pytest.mark.slow
def test_a_run_whose_disk_ran_full_goes_on_once_there_is_room(
    small_disk: Path, tiny_model: Path, pairs: list[Pair]
) -> None:
    subprocess.run(["mount", "-o", "remount,size=1536k", str(small_disk)], check=True)
    split = Split(data_sha256="", folds=1, fold=-1, train=tuple(pair.pair_id for pair in pairs), held_out=())

    def train() -> bool:
        training_arguments = TrainingArguments(
            output_dir=str(small_disk / "out"),
            max_steps=9,
            per_device_train_batch_size=4,
            save_strategy="steps",
            save_steps=1,
            report_to=[],
            disable_tqdm=True,
        )
        return train_fold(PairArguments(str(tiny_model)), training_arguments, "causal", split, pairs)

    with pytest.raises(OSError, match="the disk is full"):
        train()
    kept = complete_checkpoints(small_disk / "out")
    assert 0 < len(kept) < 9
    assert {folder.name for folder in (small_disk / "out").iterdir() if folder.is_dir()} == {one.name for one in kept}
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert train()
    assert len(complete_checkpoints(small_disk / "out")) == 9
