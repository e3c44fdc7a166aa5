"""A tiny causal model with a word-level tokenizer, and the real pairs where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.data import crows_pairs
from harness.data.crows_pairs import Pair
from harness.data.sources import SAMPLE


@pytest.fixture(scope="session")
def real_pairs() -> list[Pair]:
    if not (folder := os.environ.get("STEREOSCOPE_DATA")):
        pytest.skip("STEREOSCOPE_DATA is not set: no real CrowS-Pairs to check")
    return crows_pairs.read(Path(folder) / "crows_pairs" / "crows_pairs_anonymized.csv")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two small layers, random weights, whose words are those of the built-in sample."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pairs = crows_pairs.read(SAMPLE / "crows_pairs" / "crows_pairs_anonymized.csv")
    split = pre_tokenizers.Whitespace()
    words = {
        word for its in pairs for text in (its.sent_more, its.sent_less) for word, _ in split.pre_tokenize_str(text)
    }
    vocabulary = {word: index for index, word in enumerate(["<s>", "</s>", "<unk>", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    folder = tmp_path_factory.mktemp("tiny_model")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
