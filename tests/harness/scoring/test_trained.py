"""`stereoscope eval` of a checkpoint is a step of its base model, and a report never takes it for an untrained one."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import tiny_models

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.data.split import SPLIT_FILE, Split, bind
from harness.reporting.analysis import analyse
from harness.reporting.schema import Report
from harness.reporting.stages import find_runs
from harness.scoring.eval_command import run
from harness.storage.provenance import Provenance
from harness.storage.results import find_scored
from harness.storage.weights import weights_sha256


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


def evaluate(arguments: str) -> None:
    run(shlex.split(arguments))


def bound(checkpoint: Path, base: Path, held_out: int = 30) -> Path:
    """A checkpoint that says it was trained on all pairs of the sample but the first so many, after 7 steps."""
    data = locate("crows_pairs", "sample")
    names = [pair.pair_id for pair in crows_pairs.read(data.path)]
    train, kept = tuple(names[held_out:]), tuple(names[:held_out])
    split = Split(data_sha256=data.sha256, folds=3, fold=1, train=train, held_out=kept)
    bind(checkpoint, split, str(base), weights_sha256(base))
    (checkpoint / "trainer_state.json").write_text(json.dumps({"epoch": 0.5}), encoding="utf-8")
    return checkpoint


@pytest.fixture
def adapter(byte_llama: Path, tmp_path: Path) -> Path:
    return bound(tiny_models.lora(byte_llama, tmp_path / "training" / "fold-1" / "checkpoint-7"), byte_llama)


def provenance(folder: Path) -> Provenance:
    (found,) = find_scored(folder)
    return found.provenance


def report_of(*folders: Path) -> Report:
    return analyse(find_runs(folders))


def test_an_adapter_is_a_step_with_what_its_folder_says(byte_llama: Path, adapter: Path, tmp_path: Path) -> None:
    base, step = tmp_path / "base", tmp_path / "step"
    evaluate(f"--model_args pretrained={byte_llama} --tasks crows_pairs --output_path {base}")
    tasks = "crows_pairs,crows_pairs_heldout"
    evaluate(f"--model_args pretrained={byte_llama},peft={adapter} --tasks {tasks} --output_path {step}")
    told, before = provenance(step), provenance(base)
    assert (told.stage, told.step, told.epoch, told.fold) == ("step", 7, 0.5, 1)
    assert (told.model, told.checkpoint, told.trained_on) == (byte_llama.name, str(adapter), {"crows_pairs": 60})
    assert told.base_weights_sha256 == before.weights_sha256 == before.base_weights_sha256 != told.weights_sha256
    assert told.parameters == before.parameters
    report = report_of(step, base)
    assert [stage.stage for stage in report.stages] == ["base", "step"]
    assert report.stages[1].conditions == []
    scores = {(entry.stage, entry.task): entry for entry in report.entries if entry.metric == "crows_score"}
    assert "contaminated" in scores["step", "crows_pairs"].flags
    assert "contaminated" not in scores["step", "crows_pairs_heldout"].flags
    assert scores["step", "crows_pairs_heldout"].base_value is not None
    assert "was scored but not trained" not in report.verdict


def test_an_adapter_of_unknown_training_is_a_step_and_not_said_to_have_seen_the_pairs(
    byte_llama: Path, tmp_path: Path
) -> None:
    stranger = tiny_models.lora(byte_llama, tmp_path / "a" / "b" / "stranger")
    arguments = f"--model_args pretrained={byte_llama},peft={stranger} --tasks crows_pairs --limit 30"
    evaluate(f"{arguments} --output_path {tmp_path / 'out'}")
    told = provenance(tmp_path / "out")
    assert (told.stage, told.step, told.trained_on) == ("step", None, {})
    report = report_of(tmp_path / "out")
    assert not any("contaminated" in entry.flags for entry in report.entries)
    assert {(entry.of, "limited" in entry.flags) for entry in report.entries if entry.part is None} == {(90, True)}


def test_a_fully_trained_checkpoint_is_a_step_of_the_model_that_it_was_trained_from(
    byte_llama: Path, other_byte_llama: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "training" / "fold-1" / "checkpoint-7"
    shutil.copytree(other_byte_llama, checkpoint)
    bound(checkpoint, byte_llama)
    out = tmp_path / "out"
    evaluate(f"--model_args pretrained={byte_llama} --tasks wikitext2 --limit 2 --output_path {out}")
    evaluate(f"--model_args pretrained={checkpoint} --tasks wikitext2 --limit 2 --output_path {out}")
    report = report_of(out)
    assert [(stage.stage, stage.model) for stage in report.stages] == [
        ("base", byte_llama.name),
        ("step", byte_llama.name),
    ]
    assert report.stages[1].conditions == []


def test_a_checkpoint_with_another_ones_split_is_refused_before_it_is_loaded(
    byte_llama: Path, adapter: Path, tmp_path: Path
) -> None:
    other = tiny_models.lora(byte_llama, tmp_path / "other" / "checkpoint-7", seed=5)
    shutil.copy(adapter / SPLIT_FILE, other / SPLIT_FILE)
    with pytest.raises(ValueError, match="belongs to other weights"):
        evaluate(f"--model_args pretrained={byte_llama},peft={other} --tasks crows_pairs_heldout")


def test_the_prompt_that_was_applied_is_recorded(byte_llama: Path, tmp_path: Path) -> None:
    instruction = "--system_instruction 'Be fair.'"
    arguments = f"--model_args pretrained={byte_llama} --tasks crows_pairs --limit 10 {instruction}"
    evaluate(f"{arguments} --output_path {tmp_path}")
    asking = provenance(tmp_path).asking
    assert asking is not None
    assert asking.chat_template_sha256 is None
    assert asking.system_instruction_sha256 == "3a6dbe170a446109a3ae9f6732646528cffc87e5d344466615d2d977904fa878"
    assert asking.seeds["torch_seed"] == 1234
    assert asking.tasks["crows_pairs"].definition_sha256
    (stage,) = report_of(tmp_path).stages
    assert stage.prompt == "system instruction 3a6dbe17"
