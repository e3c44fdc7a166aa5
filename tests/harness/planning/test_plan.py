"""What a dry run tells of a model before anything of it is there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.families import Family
from harness.experiments.experiment import run
from harness.experiments.experiment_file import ExperimentFile, ModelEntry, load, resolved
from harness.planning.memory import Batch
from harness.planning.plan import known_config, largest_batch, model_plan, pair_arguments, text_batch
from harness.planning.planned_model import PlannedModel

ROOT = Path(__file__).resolve().parents[3]


def planned(pretrained: str, **training: Any) -> PlannedModel:
    model = ModelEntry(name="one", pretrained=pretrained)
    file = ExperimentFile(name="planned", models=(model,), tasks=("crows_pairs",), training=training)
    return resolved(file).models[0]


def peak(told: str) -> float:
    return float(told.rpartition("peak ")[2])


def test_a_hub_model_is_planned_without_the_hub() -> None:
    told = model_plan(planned("gpt2", per_device_train_batch_size=8, lora_r=8))
    assert told.splitlines()[0] == "one: gpt2, causal, 124M parameters, trained: 1.18M of adapters"
    assert "on one CPU process, fp32; at most 16 texts of 48 tokens a step on each" in told
    assert "weights 0.47, gradients 0.00, optimizer 0.01," in told


def test_full_fine_tuning_takes_the_optimizer_of_all_weights_and_a_copy_for_balance() -> None:
    told = model_plan(planned("gpt2", full=True, objective="balance", per_device_train_batch_size=1))
    assert "trained: all of them" in told
    # Gradients: 0.46 of all weights, and the embeddings' once more before they join those of the tied head.
    assert "weights 0.93, gradients 0.61, optimizer 0.93" in told


def test_more_pairs_a_step_and_no_checkpointing_take_more() -> None:
    small = model_plan(planned("bert-base-uncased", per_device_train_batch_size=2))
    large = model_plan(planned("bert-base-uncased", per_device_train_batch_size=16))
    again = model_plan(planned("bert-base-uncased", per_device_train_batch_size=16, gradient_checkpointing=True))
    assert peak(small) < peak(again) < peak(large)


def test_an_encoder_decoder_is_planned_with_its_decoders_text() -> None:
    told = model_plan(planned("google/flan-t5-small", per_device_train_batch_size=4))
    assert "seq2seq, 77M parameters" in told
    assert "at most 8 texts of 56 tokens and 18 of the decoder's" in told


def test_a_model_folder_is_planned_by_its_own_config(byte_llama: Path) -> None:
    assert "causal" in model_plan(planned(str(byte_llama))).splitlines()[0]


def test_a_model_that_nobody_here_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"somebody/else is no folder in .*.*bert-base-uncased.*google/flan-t5-xl"):
        known_config(planned("somebody/else"))


def test_balance_asks_a_masked_model_for_one_token_at_a_time() -> None:
    arguments = pair_arguments("bert-base-uncased", {"lora_target_modules": "query"})
    assert arguments.lora_target_modules == ["query"]
    assert largest_batch("masked", arguments, 8) == Batch(44, 50, 0, 44)


@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        ("causal", Batch(2, 20, 0, 40)),
        ("masked", Batch(2, 22, 0, 6)),  # 3 of 20 tokens behind masks, between two special tokens
        ("seq2seq", Batch(2, 19, 5, 10)),  # one span of 3, its sentinel and the end token on either side
    ],
)
def test_pieces_of_running_text_are_shared_out_and_asked_as_the_family_is(kind: Family, batch: Batch) -> None:
    held = pair_arguments("a model", {"text_kl_weight": 1, "text_tokens": 20, "text_chunks": 3})
    assert text_batch(kind, held, processes=2) == batch
    assert text_batch(kind, pair_arguments("a model", {}), processes=2) is None
    trained_on = pair_arguments("a model", {"objective": "cda", "block_tokens": 20, "bias_types": "race"})
    assert trained_on.bias_types == ["race"]
    assert largest_batch(kind, trained_on, 2) == batch


def test_running_text_beside_the_pairs_takes_memory() -> None:
    without, beside = (model_plan(planned("gpt2", **text)) for text in ({}, {"text_kl_weight": 1.0}))
    assert "32 texts of 48 tokens, and 2 pieces of 64 tokens of running text a step" in beside
    activations = [float(re.findall(r"activations ([\d.]+)", told)[0]) for told in (without, beside)]
    # 128 tokens more than the 1,536 of the pairs.
    assert activations[0] < activations[1] < 1.2 * activations[0]


@pytest.mark.slow
def test_the_largest_models_of_the_real_study_are_planned_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    study = load(Path("experiments/scalability.yaml"))
    largest = [model for model in study.models if model.name in ("bert-large-uncased", "bloomz-1b7", "flan-t5-large")]
    run(replace(study, models=tuple(largest)), dry_run=True)
    printed = capsys.readouterr().out
    peaks = [float(line.rpartition("peak ")[2]) for line in printed.splitlines() if "GiB on each" in line]
    trained = [one for model in largest for one in model.treatments if one.is_trained]
    assert len(study.models) == 11
    assert (
        len(peaks) == printed.count("run_module.py training --config") == len({one.teacher.called for one in trained})
    )
    assert max(peaks) < 14.6  # what a T4 has free
    assert "report: stereoscope report runs/scalability" in printed.splitlines()[-1]
