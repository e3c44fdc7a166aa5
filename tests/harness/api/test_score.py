"""`harness.score`: the same numbers from a folder and from memory, and a caller's model given back as it was."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertModel,
    LlamaForCausalLM,
)

from harness import Scores, report, score
from harness.storage.results import find_scored

FAMILIES: dict[str, tuple[Callable[[Path], Path], Any]] = {
    "causal": (tiny_models.byte_llama, AutoModelForCausalLM),
    "masked": (tiny_models.masked, AutoModelForMaskedLM),
    "seq2seq": (tiny_models.t5, AutoModelForSeq2SeqLM),
}
TASKS = "crows_pairs,stereoset_intrasentence"


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


@pytest.fixture(scope="module")
def saved(byte_llama: Path) -> Scores:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEREOSCOPE_DATA", "sample")
        return score(byte_llama, "crows_pairs", limit=40)


def same(one: Scores, other: Scores, tasks: str = TASKS) -> None:
    for task in tasks.split(","):
        assert one[task] == pytest.approx(other[task], abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_model_in_memory_scores_as_from_its_folder_and_can_be_trained_on(tmp_path: Path, kind: str) -> None:
    write, auto_class = FAMILIES[kind]
    folder = write(tmp_path / kind)
    model, tokenizer = auto_class.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    from_memory = score(model.train(), TASKS, tokenizer, limit=6)
    same(from_memory, score(folder, TASKS, limit=6))
    assert from_memory.provenance.family == kind
    # Tensors that a forward pass left in the model under inference_mode would make this fail.
    batch = {"input_ids": torch.tensor([[5, 6, 7]]), "labels": torch.tensor([[5, 6, 7]])}
    model(**batch).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


def test_what_training_needs_is_as_it_was_before(byte_llama: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(byte_llama), AutoTokenizer.from_pretrained(byte_llama)
    model.train()
    model.model.layers[0].eval()
    tokenizer.pad_token = None
    model.generation_config.max_length = 77
    modes = [module.training for module in model.modules()]
    attributes, generation = set(vars(model)), model.generation_config.to_dict()
    weights = copy.deepcopy(model.state_dict())
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    score(model, "crows_pairs", tokenizer, limit=4)
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002
    assert [module.training for module in model.modules()] == modes
    assert (set(vars(model)), model.generation_config.to_dict()) == (attributes, generation)
    assert tokenizer.pad_token is None
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_an_error_gives_the_model_back_too(byte_llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(byte_llama).train()
    with pytest.raises(ValueError, match="split"):
        score(model, "crows_pairs_heldout")
    assert model.training
    assert "tie_weights" not in vars(model)


def test_the_adapters_at_work_are_what_is_scored(byte_llama: Path, tmp_path: Path) -> None:
    adapter = tiny_models.lora(byte_llama, tmp_path / "adapter")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(byte_llama), adapter)
    found = score(model, "crows_pairs", limit=6)
    same(found, score(adapter, "crows_pairs", limit=6), "crows_pairs")
    with model.disable_adapter():
        base = score(model, "crows_pairs", limit=6)
    same(base, score(byte_llama, "crows_pairs", limit=6), "crows_pairs")
    assert base["crows_pairs"] != found["crows_pairs"]
    assert base.provenance.weights_sha256 != found.provenance.weights_sha256
    assert base.provenance.parameters == found.provenance.parameters == sum(p.numel() for p in _plain(byte_llama))
    assert model.active_adapters == ["default"]


def test_the_provenance_tells_weights_in_memory_from_those_of_a_file(byte_llama: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(byte_llama)
    first = score(model, "crows_pairs", limit=2).provenance
    assert (first.weights_from, first.pretrained, first.model) == ("memory", str(byte_llama), byte_llama.name)
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    assert score(model, "crows_pairs", limit=2).provenance.weights_sha256 != first.weights_sha256
    assert score(byte_llama, "crows_pairs", limit=2).provenance.weights_from == "files"


def test_a_model_that_was_never_a_file_needs_its_tokenizer_and_nothing_else(byte_llama: Path) -> None:
    config = AutoModelForCausalLM.from_pretrained(byte_llama).config
    config._name_or_path = ""
    model = LlamaForCausalLM(config)
    with pytest.raises(ValueError, match="tokenizer"):
        score(model, "crows_pairs", limit=2)
    found = score(model, "crows_pairs", AutoTokenizer.from_pretrained(byte_llama), name="mine", limit=2)
    assert (found.provenance.pretrained, found.provenance.model) == ("in memory", "mine")


def test_before_and_after_saved_side_by_side_make_a_report(byte_llama: Path, tmp_path: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(byte_llama), AutoTokenizer.from_pretrained(byte_llama)
    score(model, "crows_pairs,stereoset_intrasentence", tokenizer, limit=40).save(tmp_path)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.5)
    score(model, "crows_pairs,stereoset_intrasentence", tokenizer, step=7, limit=40).save(tmp_path)
    found = report(tmp_path)
    assert [(stage.stage, stage.step) for stage in found.stages] == [("base", None), ("step", 7)]
    (change,) = [
        entry
        for entry in found.entries
        if (entry.task, entry.metric, entry.part, entry.stage) == ("crows_pairs", "abs_logprob_diff", None, "step")
    ]
    assert change.difference is not None
    assert change.difference < 0
    assert "<iframe" in found._repr_html_()
    assert found.verdict in str(found)


def test_saved_files_are_those_of_the_command(saved: Scores, tmp_path: Path) -> None:
    written = saved.save(tmp_path)
    (found,) = find_scored(tmp_path)
    assert found.file == written
    assert found.provenance == saved.provenance
    assert len(list(found.samples("crows_pairs"))) == 40
    assert saved.provenance.command.startswith("harness.score(")


def test_the_table_has_intervals_and_what_is_looked_at_first(saved: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = saved.table().splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["crows_pairs"] * 2
    assert " to " in lines[2]
    assert len(saved.table(everything=True).splitlines()) > len(lines)
    assert saved.table() in repr(saved)


def test_the_frame_has_a_row_a_number(saved: Scores) -> None:
    frame = saved.to_frame()
    assert {"task", "metric", "part", "value", "low", "high", "n", "unit", "best"} <= set(frame.columns)
    whole = frame[(frame.metric == "crows_score") & frame.part.isna()]
    assert whole.value.item() == pytest.approx(saved["crows_pairs"]["crows_score"])


def test_a_frame_without_pandas_says_what_to_install(saved: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pandas"):
        saved.to_frame()


def test_names_cannot_break_the_notebook_that_shows_them(byte_llama: Path) -> None:
    named = score(byte_llama, "crows_pairs", name="<script>alert(1)</script>", limit=2)
    assert "<script" not in named._repr_html_()
    assert "&lt;script" in named._repr_html_()


@pytest.mark.parametrize(
    ("model", "options", "error", "told"),
    [
        (3, {}, TypeError, "PreTrainedModel"),
        ("memory", {"dtype": "bfloat16"}, TypeError, "dtype"),
        ("headless", {}, ValueError, "AutoModelForMaskedLM"),
        ("prompt", {}, ValueError, "PROMPT_TUNING"),
    ],
)
def test_what_cannot_be_scored_is_one_clear_error(
    byte_llama: Path, tmp_path: Path, model: Any, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    if model == "headless":
        model = BertModel.from_pretrained(tiny_models.byte_bert(tmp_path / "bert"))
    elif model in ("memory", "prompt"):
        loaded = AutoModelForCausalLM.from_pretrained(byte_llama)
        model = loaded if model == "memory" else _prompt_tuned(loaded)
    with pytest.raises(error, match=told):
        score(model, "crows_pairs", AutoTokenizer.from_pretrained(byte_llama), **options)


def test_one_of_several_processes_is_told_the_command(byte_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="harness eval"):
        score(byte_llama, "crows_pairs")


def _plain(folder: Path) -> list[torch.nn.Parameter]:
    return list(AutoModelForCausalLM.from_pretrained(folder).parameters())


def _prompt_tuned(model: Any) -> Any:
    from peft import PromptTuningConfig

    return get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))


def test_adapters_of_two_strengths_are_different_weights(byte_llama: Path) -> None:
    from harness.models.borrowed import tensors_sha256

    digests = set()
    for alpha in (2, 4):
        torch.manual_seed(0)
        config = LoraConfig(r=2, lora_alpha=alpha, target_modules=["q_proj"], init_lora_weights=False)
        digests.add(tensors_sha256(get_peft_model(AutoModelForCausalLM.from_pretrained(byte_llama), config)))
    assert len(digests) == 2


def test_a_recipe_asks_a_model_otherwise_in_memory_as_from_its_folder(byte_llama: Path) -> None:
    fair = {"kind": "prompt", "text": "Be fair to all. "}
    asked: dict[str, Any] = {"tasks": "crows_pairs", "limit": 12, "data_dir": "sample"}
    model, tokenizer = (auto.from_pretrained(byte_llama) for auto in (AutoModelForCausalLM, AutoTokenizer))
    plain = score(byte_llama, **asked)
    found = [score(byte_llama, recipe=fair, **asked), score(model, tokenizer=tokenizer, recipe=fair, **asked)]
    values = [one["crows_pairs"]["abs_logprob_diff"] for one in (plain, *found)]
    assert values[1] == pytest.approx(values[2], abs=1e-5)
    assert values[0] != pytest.approx(values[1], abs=1e-3)
