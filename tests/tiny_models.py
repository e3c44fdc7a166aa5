"""Writes tiny models: random ones of several families, and one whose next-word probabilities are given by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BOS, EOS, UNKNOWN = "<s>", "</s>", "<unk>"


def byte_llama(folder: Path, seed: int = 0, layers: int = 2, width: int = 32) -> Path:
    """A random Llama over single bytes; `<s>` is token 256."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=257,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def byte_t5(folder: Path) -> Path:
    """A random T5 over single bytes."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=258,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=257,
        pad_token_id=257,
        eos_token_id=257,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def byte_bert(folder: Path) -> Path:
    """A random BERT over single bytes."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=258, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForMaskedLM(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def lora(base: Path, folder: Path, seed: int = 0, target_modules: str | list[str] = "all-linear") -> Path:
    """A LoRA adapter for `base` with random weights in both of its factors, so that it changes every score."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=target_modules, init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def bigram(folder: Path, following: Mapping[str, Mapping[str, float]]) -> Path:
    """A Llama whose probability of the next word depends on the current one alone, as `following[current][next]` says.

    What a row leaves of its probability is shared equally by the words that it does not name. Attention and MLP are
    zero, embeddings are unit vectors, which the norm only stretches, so that a row of logits is a row of log P.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = [BOS, EOS, UNKNOWN, *sorted({word for row in following.values() for word in row} | set(following) - {BOS})]
    size = len(words) + len(words) % 2
    words += [f"<unused {number}>" for number in range(size - len(words))]
    table = torch.full((size, size), math.nan, dtype=torch.float64)
    for current, word in enumerate(words):
        row = following.get(word, {})
        rest = (1 - sum(row.values())) / (size - len(row))
        table[:, current] = torch.tensor([row.get(word, max(rest, 1e-40)) for word in words], dtype=torch.float64)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=2,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        rms_norm_eps=1e-12,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.model.layers.parameters():
            weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.copy_(table.log() / math.sqrt(size))
    model.save_pretrained(folder)
    _word_tokenizer(words).save_pretrained(folder)
    return folder


def _byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)} | {BOS: 256, EOS: 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS)


def _word_tokenizer(words: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, unk_token=UNKNOWN)
