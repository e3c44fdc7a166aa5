"""DeepSpeed's pickled state is loaded from checkpoints that this run's folder wrote, and from no others."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from short_runs import two_steps

from harness.data.crows_pairs import Pair
from harness.data.split import Split
from training.checkpoints import SAVED, note_saved, require_own, seal
from training.config import TrainingArguments, fingerprint
from training.families import load_model
from training.pair_arguments import PairArguments
from training.resume import ready
from training.run import RUN_FILE, claim

SHARDS = ("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt")
ZERO2 = SimpleNamespace(
    state=SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=2)), num_processes=2, is_main_process=True
)


class Opens:
    """What an attacker pickles: loading it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.file, "w"))


def checkpoint(folder: Path, content: bytes = b"state", step: int = 3) -> Path:
    """A sealed checkpoint of two processes under ZeRO-2."""
    made = folder / f"checkpoint-{step}"
    (made / f"global_step{step}").mkdir(parents=True)
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    (made / "latest").write_text(f"global_step{step}", encoding="utf-8")
    for shard in SHARDS:
        (made / f"global_step{step}" / shard).write_bytes(content)
    seal(made)
    return made


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A checkpoint that the run of `fold-0` wrote."""
    made = checkpoint(tmp_path / "fold-0")
    note_saved(made.parent, made.name, made)
    return made


def resume(folder: Path, allow_pickle: bool = False) -> Path | None:
    with ready(folder, ZERO2, allow_pickle) as found:  # type: ignore[arg-type]
        return found


def test_a_run_goes_on_from_its_own_checkpoint(own: Path) -> None:
    assert resume(own) == own


def test_a_run_that_was_moved_goes_on(own: Path, tmp_path: Path) -> None:
    shutil.move(own.parent, tmp_path / "kept")
    assert resume(tmp_path / "kept" / own.name) == tmp_path / "kept" / own.name


def test_a_checkpoint_that_was_copied_in_is_refused_and_nothing_of_it_is_run(own: Path, tmp_path: Path) -> None:
    evil = checkpoint(tmp_path / "elsewhere", pickle.dumps(Opens(tmp_path / "ran")), step=9)
    shutil.copytree(evil, own.parent / evil.name)
    with pytest.raises(
        ValueError, match=r"checkpoint-9: .*saved\.json does not say that this run wrote it\. .*Move the"
    ):
        resume(own.parent / evil.name)
    assert not (tmp_path / "ran").exists()


def test_another_checkpoint_under_an_own_ones_name_is_refused(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own)
    shutil.copytree(checkpoint(tmp_path / "elsewhere", b"other"), own)
    with pytest.raises(ValueError, match=r"manifest\.json: not what this run wrote: expected sha256"):
        resume(own)


def _change(own: Path) -> None:
    (own / "global_step3" / SHARDS[0]).write_bytes(b"STATE")


def _change_and_seal(own: Path) -> None:
    _change(own)
    seal(own)


def _add(own: Path) -> None:
    (own / "global_step3" / "bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt").write_bytes(b"state")


def _link(own: Path) -> None:
    file = own / "global_step3" / SHARDS[0]
    file.rename(own.parent / "aside.pt")
    file.symlink_to(own.parent / "aside.pt")


def _link_folder(own: Path) -> None:
    (own / "global_step3").rename(own / "state")
    (own / "global_step3").symlink_to("state")


@pytest.mark.parametrize("tamper", [_change, _change_and_seal, _add, _link, _link_folder])
def test_a_checkpoint_that_was_changed_since_is_refused(own: Path, tamper: Callable[[Path], None]) -> None:
    tamper(own)
    with pytest.raises(ValueError, match="--allow-pickle true"):
        require_own(own)


def test_a_run_of_before_goes_on_when_its_user_says_so(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own.parent / SAVED).unlink()
    with pytest.raises(ValueError, match="does not say that this run wrote it"):
        resume(own)
    with caplog.at_level(logging.WARNING):
        assert resume(own, allow_pickle=True) == own


@pytest.mark.parametrize("content", ["[]", '{"../x": "a"}', '{"checkpoint-3": 3}', "{", '{"checkpoint-3/..": "a"}'])
def test_a_broken_record_of_what_was_saved_is_named(own: Path, content: str) -> None:
    (own.parent / SAVED).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"saved\.json"):
        require_own(own)


@pytest.fixture(scope="module")
def stopped(tiny: Callable[..., Path], pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process, as it was when its first step had been saved."""
    folder = tmp_path_factory.mktemp("stopped")
    two_steps(tiny("llama"), folder, pairs[:8], {"save_steps": 1}, objective="anti")
    shutil.rmtree(folder / "checkpoint-2")
    (folder / "trained.json").unlink()
    return folder


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_without_zero_what_is_pickled_into_a_checkpoints_state_is_not_run(
    stopped: Path, tiny: Callable[..., Path], pairs: list[Pair], tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (run / "checkpoint-1" / name).write_bytes(pickle.dumps(Opens(tmp_path / "ran")))
    seal(run / "checkpoint-1")
    with pytest.raises(ValueError, match="not of tensors and numbers alone"):
        two_steps(tiny("llama"), run, pairs[:8], {"save_steps": 1}, objective="anti")
    assert not (tmp_path / "ran").exists()


def test_a_model_of_pickled_weights_is_not_trained_unless_allowed(tiny: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(tiny("llama"), tmp_path / "model")
    for file in (tmp_path / "model").glob("*.safetensors"):
        file.unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Opens(tmp_path / "ran")))
    with pytest.raises(ValueError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        load_model(PairArguments(str(tmp_path / "model")), "causal")
    assert not (tmp_path / "ran").exists()


def test_allowing_pickle_does_not_make_it_another_run(tmp_path: Path) -> None:
    split = Split(data_sha256="0" * 64, folds=1, fold=0, train=("a",), held_out=())
    training = TrainingArguments(output_dir=str(tmp_path))
    claim(tmp_path, split, fingerprint(PairArguments(model_name_or_path="m"), training), writes=True)
    # As runs of before wrote it.
    written = json.loads((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    (tmp_path / RUN_FILE).write_text(json.dumps({**written, "allow_pickle": False}), encoding="utf-8")
    again = fingerprint(PairArguments(model_name_or_path="m", allow_pickle=True), training)
    claim(tmp_path, split, again, writes=False)
