"""What training accepts as a place for adapters, scoring takes: on every kind of module, in every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from short_runs import two_steps
from torch import Tensor

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.models.any import load_lm
from harness.models.borrowed import tensors_sha256
from training.families import AUTO_CLASSES

Tiny = Callable[..., Path]
PLACES = [
    ("llama", ["q_proj", "lm_head"]),
    ("llama", ["embed_tokens"]),
    ("gpt2", ["c_attn", "wte", "lm_head"]),
    ("bloom", ["query_key_value", "word_embeddings"]),
    ("bert", ["query", "decoder"]),
    ("roberta", ["query", "word_embeddings"]),
    ("t5", ["q", "shared", "lm_head"]),
    ("flan-t5", ["q", "lm_head"]),
]


@torch.no_grad()
def logits(model: torch.nn.Module, is_seq2seq: bool, ids: Tensor) -> Tensor:
    found: Tensor = model(input_ids=ids, **({"decoder_input_ids": ids} if is_seq2seq else {})).logits
    return found


@pytest.mark.parametrize(("kind", "modules"), PLACES, ids=[f"{kind} {'+'.join(names)}" for kind, names in PLACES])
def test_an_adapter_is_trained_scored_as_by_peft_and_taken_off(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, modules: list[str]
) -> None:
    checkpoint = two_steps(tiny(kind), tmp_path, pairs[:8], {"learning_rate": 0.05}, lora_target_modules=modules)
    family = family_of({"pretrained": str(tiny(kind))})
    lm = load_lm(str(tiny(kind)))
    digest = tensors_sha256(lm._model)
    # Of a pair that was trained on: an adapter on the embeddings changes no other tokens.
    ids = lm.tokenizer(pairs[0].sent_more, return_tensors="pt")["input_ids"][:, :8]
    before = logits(lm._model, family == "seq2seq", ids)
    lm.use_adapter(checkpoint)
    found = logits(lm._model, family == "seq2seq", ids)
    plain = PeftModel.from_pretrained(AUTO_CLASSES[family].from_pretrained(tiny(kind)), str(checkpoint)).eval()
    torch.testing.assert_close(found, logits(plain, family == "seq2seq", ids), atol=2e-5, rtol=1e-5)
    assert not torch.allclose(found, before, atol=1e-3)
    lm.use_adapter(None)
    assert tensors_sha256(lm._model) == digest
