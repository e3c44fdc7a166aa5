"""Adapters of every kind that PEFT trains: scored as PEFT itself loads them, and taken off to the bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from harness.models.any import load_lm
from harness.models.borrowed import tensors_sha256

MORE = 3
LINEAR = {"target_modules": "all-linear"}
CAUSAL: Mapping[str, Mapping[str, Any]] = {
    "linear layers": LINEAR,
    "output layer": {"target_modules": ["q_proj", "lm_head"]},
    "embeddings": {"target_modules": ["embed_tokens"]},
    "embeddings and output layer": {"target_modules": ["embed_tokens", "lm_head"]},
    "DoRA": {**LINEAR, "use_dora": True},
    "DoRA of embeddings": {"target_modules": ["q_proj", "embed_tokens"], "use_dora": True},
    "rsLoRA": {**LINEAR, "use_rslora": True},
    "ranks of its own": {**LINEAR, "rank_pattern": {"q_proj": 4}, "alpha_pattern": {"v_proj": 3}},
    "modules_to_save": {**LINEAR, "modules_to_save": ["lm_head"]},
    "both ends saved": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "norms saved": {"target_modules": ["q_proj"], "modules_to_save": ["input_layernorm", "norm"]},
    "tokens by number": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 104]},
    "PiSSA": {**LINEAR, "init_lora_weights": "pissa"},
    "PiSSA by approximation": {**LINEAR, "init_lora_weights": "pissa_niter_16"},
    "PiSSA of the output layer": {"target_modules": ["q_proj", "lm_head"], "init_lora_weights": "pissa"},
    "OLoRA": {**LINEAR, "init_lora_weights": "olora"},
    "orthogonal": {**LINEAR, "init_lora_weights": "orthogonal"},
    "Gaussian": {**LINEAR, "init_lora_weights": "gaussian"},
}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "masked linear layers": LINEAR,
    "masked biases": {"target_modules": ["query"], "bias": "all"},
    "masked biases of the adapter": {"target_modules": ["query", "decoder"], "bias": "lora_only"},
    "masked embeddings": {"target_modules": ["query", "word_embeddings"]},
    "masked head": {"target_modules": ["query", "decoder"]},
    "masked transform saved": {"target_modules": ["query"], "modules_to_save": ["transform"]},
    "masked PiSSA": {"target_modules": ["query", "value"], "init_lora_weights": "pissa"},
    "seq2seq linear layers": LINEAR,
    "seq2seq embeddings": {"target_modules": ["q", "shared"]},
    "seq2seq output layer": {"target_modules": ["q", "lm_head"]},
    "seq2seq OLoRA": {"target_modules": ["q", "v"], "init_lora_weights": "olora"},
    "seq2seq norms saved": {"target_modules": ["q"], "modules_to_save": ["final_layer_norm"]},
}
WITH_MORE_TOKENS: Mapping[str, Mapping[str, Any]] = {
    "resized and frozen": LINEAR,
    "both ends saved": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "adapters on both ends": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "tokens by number": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 259]},
}
AUTO = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, "seq2seq": AutoModelForSeq2SeqLM}
IDS = torch.tensor([[9, 40, 41, 17, 30, 22, 12, 40]])


def logits(model: Any) -> torch.Tensor:
    is_seq2seq = getattr(model.config, "is_encoder_decoder", False)
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, **({"decoder_input_ids": IDS} if is_seq2seq else {})).logits
    return found


def trained(base: Path, folder: Path, family: str, settings: Mapping[str, Any], more: int = 0) -> Path:
    """An adapter after two steps, saved as PEFT saves it."""
    torch.manual_seed(0)
    model = AUTO[family].from_pretrained(base)
    if more:
        model.resize_token_embeddings(model.get_input_embeddings().num_embeddings + more)
    adapted = get_peft_model(model, LoraConfig(r=2, **settings))
    optimizer = torch.optim.AdamW([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.05)
    for _ in range(2):
        adapted(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {"causal": tiny_models.byte_llama(folder / "causal"), "masked": tiny_models.masked(folder / "masked")}
    made["seq2seq"] = tiny_models.t5(folder / "seq2seq")
    tied = AutoModelForCausalLM.from_pretrained(made["causal"])
    tied.config.tie_word_embeddings = True
    tied.tie_weights()
    tied.save_pretrained(folder / "tied")
    AutoTokenizer.from_pretrained(made["causal"]).save_pretrained(folder / "tied")
    return {**made, "tied": folder / "tied"}


def require_scored_as_by_peft(base: Path, adapter: Path, family: str, more: int = 0) -> None:
    lm = load_lm(str(base))
    before, digest, vocabulary = logits(lm._model), tensors_sha256(lm._model), lm._model.config.vocab_size
    plain = AUTO[family].from_pretrained(base)
    if more:
        plain.resize_token_embeddings(vocabulary + more)
    torch.manual_seed(0)
    expected = logits(PeftModel.from_pretrained(plain, str(adapter)).eval())
    for _ in range(2):
        torch.manual_seed(0)
        lm.use_adapter(adapter)
        torch.testing.assert_close(logits(lm._model), expected, atol=2e-5, rtol=1e-5)
        assert not torch.allclose(logits(lm._model)[..., :vocabulary], before, atol=1e-3)
        lm.use_adapter(None)
        assert tensors_sha256(lm._model) == digest
        assert torch.equal(logits(lm._model), before)
        assert lm._model.config.vocab_size == lm._model.get_input_embeddings().num_embeddings == vocabulary
    tied = lm._model.config.tie_word_embeddings
    head = lm._model.get_output_embeddings()
    assert (head.weight is lm._model.get_input_embeddings().weight) == tied
    assert head.weight.shape[0] == getattr(head, "out_features", None) == vocabulary


@pytest.mark.parametrize("base", ["causal", "tied"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_an_adapter_scores_as_in_peft_and_leaves_no_trace(
    models: dict[str, Path], tmp_path: Path, base: str, kind: str
) -> None:
    adapter = trained(models[base], tmp_path, "causal", {"task_type": "CAUSAL_LM", **CAUSAL[kind]})
    require_scored_as_by_peft(models[base], adapter, "causal")


@pytest.mark.parametrize("kind", OTHERS)
def test_an_adapter_of_another_family_scores_as_in_peft_and_leaves_no_trace(
    models: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    family = kind.partition(" ")[0]
    adapter = trained(models[family], tmp_path, family, OTHERS[kind])
    require_scored_as_by_peft(models[family], adapter, family)


@pytest.mark.parametrize("base", ["causal", "tied"])
@pytest.mark.parametrize("kind", WITH_MORE_TOKENS)
def test_an_adapter_with_added_tokens_resizes_the_base_and_leaves_no_trace(
    models: dict[str, Path], tmp_path: Path, base: str, kind: str
) -> None:
    settings = {"task_type": "CAUSAL_LM", **WITH_MORE_TOKENS[kind]}
    adapter = trained(models[base], tmp_path, "causal", settings, MORE)
    require_scored_as_by_peft(models[base], adapter, "causal", MORE)


def with_config(adapter: Path, **changed: Any) -> Path:
    """The adapter with other settings; of its base only the path of a folder that is gone."""
    file = adapter / "adapter_config.json"
    told = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": "/gone/base"} | changed
    file.write_text(json.dumps(told), encoding="utf-8")
    return adapter


def require_refused(base: Path, adapter: Path, complaint: str) -> None:
    lm = load_lm(str(base))
    digest = tensors_sha256(lm._model)
    with pytest.raises(ValueError, match=complaint):
        lm.use_adapter(adapter)
    assert tensors_sha256(lm._model) == digest
    assert not hasattr(lm._model, "peft_config")


def test_a_layer_saved_along_that_is_not_this_bases_tells_another_base(
    models: dict[str, Path], tmp_path: Path, other_byte_llama: Path
) -> None:
    settings = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "lm_head"]}
    adapter = with_config(trained(models["causal"], tmp_path, "causal", settings))
    complaint = r"another base model.* the lm_head\.weight that was saved along differs.*names, /gone/base"
    require_refused(other_byte_llama, adapter, complaint)
    assert load_lm(str(models["causal"]), peft=str(adapter)).adapter == adapter
    assert load_lm(str(models["causal"]), peft=str(adapter), dtype="bfloat16").adapter == adapter


def test_a_base_that_was_changed_by_data_is_to_be_merged(models: dict[str, Path], tmp_path: Path) -> None:
    adapter = with_config(trained(models["causal"], tmp_path, "causal", LINEAR), init_lora_weights="lora_ga")
    require_refused(models["causal"], adapter, "init_lora_weights=lora_ga changed the base .*Merge it")


def test_added_tokens_whose_rows_are_not_in_the_file_are_to_be_merged(models: dict[str, Path], tmp_path: Path) -> None:
    settings = {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}
    adapter = trained(models["causal"], tmp_path / "one end", "causal", settings, MORE)
    without(adapter, "lm_head")
    complaint = r"made for a vocabulary of 261 tokens, and .* has 258\. Its file lacks lm_head, .*Merge"
    require_refused(models["causal"], with_config(adapter), complaint)
    settings = {"target_modules": ["q_proj"], "trainable_token_indices": [5, 259]}
    adapter = trained(models["causal"], tmp_path / "by number", "causal", settings, MORE)
    without(adapter, "lm_head", "base_layer", "original_module")
    complaint = r"made for a vocabulary of 260 tokens, and .* has 258\. Its file lacks model\.embed_tokens, lm_head"
    require_refused(models["causal"], with_config(adapter), complaint)


def without(adapter: Path, *parts: str) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(file).items() if not any(part in name for part in parts)}
    save_file(tensors, file, metadata={"format": "pt"})
