"""Logits where they are read are those that the model gives there, whatever its head is like."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from harness.models.head import logits_at

BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "embedding_size": 16,
    "pad_token_id": 0,
}
MODELS = {
    "bert": (AutoModelForMaskedLM, BERT),
    "albert": (AutoModelForMaskedLM, BERT),
    "roberta": (AutoModelForMaskedLM, BERT),
    "electra": (AutoModelForMaskedLM, BERT),
    "modernbert": (AutoModelForMaskedLM, BERT),
    "distilbert": (AutoModelForMaskedLM, {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
    "mobilebert": (AutoModelForMaskedLM, {**BERT, "intra_bottleneck_size": 32}),
    "llama": (AutoModelForCausalLM, BERT),
    "gpt2": (AutoModelForCausalLM, {"n_embd": 32, "n_layer": 1, "n_head": 2}),
    "bloom": (AutoModelForCausalLM, {"hidden_size": 32, "n_layer": 1, "n_head": 2}),
    "t5": (AutoModelForSeq2SeqLM, {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2}),
}
BYPASSED = "mobilebert"
"""Multiplies by the embeddings itself, and never calls its output layer."""


@pytest.mark.parametrize("kind", MODELS)
def test_logits_and_gradients_at_places_are_those_of_all_logits_there(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto_class, settings = MODELS[kind]
    torch.manual_seed(0)
    model = auto_class.from_config(AutoConfig.for_model(kind, vocab_size=50, **settings)).eval()
    inputs = {"input_ids": torch.randint(3, 50, (3, 7))}
    if auto_class is AutoModelForSeq2SeqLM:
        inputs["decoder_input_ids"] = torch.randint(3, 50, (3, 5))
    length = 5 if auto_class is AutoModelForSeq2SeqLM else 7
    row, column = torch.tensor([0, 2, 1, 2]), torch.tensor([4, 0, 1, 0])
    head = model.get_output_embeddings()
    forward = head.forward
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(head, "forward", lambda states: seen.append(states.shape[:-1]) or forward(states))

    def with_gradients(logits: Tensor) -> list[Tensor]:
        gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()), allow_unused=True)
        return [logits, *(one for one in gradients if one is not None)]

    expected = with_gradients(model(**inputs).logits[row, column])
    assert seen == ([] if kind == BYPASSED else [(3, length)])
    torch.testing.assert_close(with_gradients(logits_at(model, row, column, **inputs)), expected)
    assert seen[1:] == ([] if kind == BYPASSED else [(4,)])
    assert model(**inputs).logits.shape == (3, length, 50)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    torch.testing.assert_close(with_gradients(logits_at(model, row, column, **inputs)), expected)
