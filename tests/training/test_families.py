"""What each family needs is checked before anything is trained, and what it has is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file

from harness.data.families import family_of
from harness.data.tokens import load_tokenizer
from harness.models.positions import window
from training import config, families
from training.config import TrainingArguments
from training.families import load_model, require_fitting, rows_of, with_adapter
from training.pair_arguments import PairArguments

Tiny = Callable[..., Path]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom", "bert", "roberta", "t5", "flan-t5"])
def test_all_linear_leaves_the_vocabulary_head_alone(tiny: Tiny, kind: str) -> None:
    arguments = PairArguments(str(tiny(kind)))
    family = family_of({"pretrained": str(tiny(kind))})
    model = with_adapter(load_model(arguments, family), arguments, family)
    head = model.get_base_model().get_output_embeddings()
    assert not isinstance(head, BaseTunerLayer)
    wrapped = [name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    assert any("ttention" in name or "attn" in name for name in wrapped)


@pytest.mark.parametrize(
    "config", ["AlbertConfig", "DistilBertConfig", "ModernBertConfig", "XLMRobertaConfig", "ElectraConfig"]
)
def test_all_linear_leaves_the_head_of_other_masked_models_alone(config: str) -> None:
    import transformers
    from transformers import AutoModelForMaskedLM

    small: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small |= {"intermediate_size": 16, "dim": 16, "n_heads": 2, "n_layers": 1, "hidden_dim": 16, "embedding_size": 8}
    small |= {"pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    model = AutoModelForMaskedLM.from_config(getattr(transformers, config)(**small))
    adapted = with_adapter(model, PairArguments(""), "masked")
    assert not isinstance(adapted.get_base_model().get_output_embeddings(), BaseTunerLayer)


@pytest.mark.parametrize("zero3", [False, True])
@pytest.mark.parametrize("kind", ["t5", "flan-t5"])
def test_t5_keeps_the_output_head_of_its_file(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, kind: str, zero3: bool
) -> None:
    # What transformers itself does under ZeRO-3 needs deepspeed; what is set for it does not.
    monkeypatch.setattr(families, "is_deepspeed_zero3_enabled", lambda: zero3)
    model = load_model(PairArguments(str(tiny(kind))), "seq2seq")
    file = load_file(tiny(kind) / "model.safetensors")
    assert ("lm_head.weight" in file) == (kind == "flan-t5")
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, file.get(name, file["shared.weight"])), name
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_a_start_token_is_refused_where_no_causal_model_reads_it(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match=r"start_token_id=1: .* is a (masked|seq2seq) model"):
        require_fitting(
            PairArguments(str(tiny(kind)), start_token_id=1),
            TrainingArguments(output_dir=str(tmp_path)),
            family_of({"pretrained": str(tiny(kind))}),
        )


@pytest.mark.parametrize("how", ["flag", "accelerate", "deepspeed"])
def test_t5_in_fp16_is_refused_however_it_is_asked_for(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(config, "require_able", lambda *_: None)  # of fp16 on the CPU, which is refused first
    if how == "accelerate":
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    training_arguments = TrainingArguments(output_dir=str(tmp_path), fp16=how == "flag")
    if how == "deepspeed":
        training_arguments.deepspeed_plugin = SimpleNamespace(deepspeed_config={"fp16": {"enabled": True}})
    with pytest.raises(ValueError, match=r"in fp16: .* train it in fp32 or with bf16"):
        require_fitting(PairArguments(str(tiny("flan-t5"))), training_arguments, "seq2seq")
    require_fitting(PairArguments(str(tiny("bert"))), training_arguments, "masked")


def test_a_masked_model_without_a_mask_token_is_refused(tiny: Tiny) -> None:
    tokenizer = load_tokenizer({"pretrained": str(tiny("bert"))})
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="its tokenizer has no mask token"):
        rows_of(PairArguments("a-bert"), "masked", tokenizer, seed=0)


def test_infill_without_sentinels_is_refused_and_rewrite_is_not(tiny: Tiny) -> None:
    tokenizer = load_tokenizer({"pretrained": str(tiny("llama"))})
    arguments = PairArguments(str(tiny("t5")))
    with pytest.raises(ValueError, match=r"`rewrite` needs none.* has no sentinel tokens"):
        rows_of(arguments, "seq2seq", tokenizer, seed=0)
    arguments.seq2seq_form = "rewrite"
    rows_of(arguments, "seq2seq", tokenizer, seed=0)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "roberta", "t5"])
def test_the_window_is_what_the_model_has_positions_for(tiny: Tiny, kind: str) -> None:
    assert window(load_model(PairArguments(str(tiny(kind))), family_of({"pretrained": str(tiny(kind))}))) == 64


@pytest.mark.parametrize(("rate", "warned"), [("1e-2", True), ("9e-3", False)])
def test_a_rate_that_destroyed_models_is_warned_of(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    rate: str,
    warned: bool,
) -> None:
    from training import run

    monkeypatch.setattr(run, "train_fold", lambda *_: True)
    monkeypatch.setattr(run, "exit_with_run", lambda: None)
    monkeypatch.setattr(run, "stop_with_launcher", lambda: None)
    monkeypatch.setattr(run, "start_logging", lambda: None)  # it takes the handler away that listens here
    monkeypatch.setattr("signal.signal", lambda *_: None)
    flags = ["--model_name_or_path", str(tiny("bert")), "--output_dir", str(tmp_path), "--data_dir", "sample"]
    with caplog.at_level(logging.WARNING):
        run.main([*flags, "--num_folds", "2", "--full", "true", "--learning_rate", rate])
    assert ("published work destroyed models at such rates" in caplog.text) == warned
