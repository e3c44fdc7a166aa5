"""Logits where they are read are those that the model gives there, whatever its head is like."""

from __future__ import annotations

from typing import Any

import pytest
import torch
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
    row, column = torch.tensor([0, 2, 1, 2]), torch.tensor([4, 0, 1, 0])
    head = model.get_output_embeddings()
    seen = []
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda states: seen.append(states.shape) or forward(states))
    weights = list(model.parameters())
    found = []
    for logits in (
        logits_at(model, head, row, column, **inputs),
        logits_at(model, None, row, column, **inputs),
        model(**inputs).logits[row, column],
    ):
        gradients = torch.autograd.grad(logits.square().sum(), weights, allow_unused=True)
        found.append([logits, *(one for one in gradients if one is not None)])
    *ours, expected = found
    for one in ours:
        torch.testing.assert_close(one, expected)
    assert (not seen) if kind == BYPASSED else (seen[0] == (4, seen[0][-1]) and len(seen[1]) == 3)
    assert model(**inputs).logits.shape == (3, inputs.get("decoder_input_ids", inputs["input_ids"]).shape[1], 50)
