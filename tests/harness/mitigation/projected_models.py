"""Tiny models of every type that a projection can be written into."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tiny_models

SHAPE = {**tiny_models.SHAPE, "max_position_embeddings": 130}


def random_model(kind: str, auto_class: str, folder: Path, tokenizer: Any = None, **config: Any) -> Path:
    """A model of a type that `tiny_models` does not have, with large random weights."""
    import transformers

    tokenizer = tokenizer or tiny_models.byte_level()
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    shape = {"vocab_size": len(tokenizer), **ids, **config}
    model = getattr(transformers, auto_class).from_config(transformers.AutoConfig.for_model(kind, **shape))
    tiny_models._save_random(model, folder, seed=0)
    tokenizer.save_pretrained(folder)
    return folder


GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
GPTJ = {**GPT2, "rotary_dim": 4}
MT5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
MAKERS: dict[str, Callable[[Path], Path]] = {
    "gpt2": partial(random_model, "gpt2", "AutoModelForCausalLM", **GPT2),
    "gptj": partial(random_model, "gptj", "AutoModelForCausalLM", **GPTJ),
    "llama": tiny_models.byte_llama,
    "t5": tiny_models.t5,
    "t5 v1.1": partial(tiny_models.t5, tie_word_embeddings=False, feed_forward_proj="gated-gelu"),
    "mt5": lambda folder: random_model("mt5", "AutoModelForSeq2SeqLM", folder, tiny_models.unigram(), **MT5),
    **{kind: partial(tiny_models.masked, kind=kind) for kind in tiny_models.MASKED_SHAPES},
    "camembert": partial(random_model, "camembert", "AutoModelForMaskedLM", **SHAPE),
    "electra": partial(random_model, "electra", "AutoModelForMaskedLM", embedding_size=16, **SHAPE),
    "mpnet": partial(random_model, "mpnet", "AutoModelForMaskedLM", **SHAPE),
    "xlm-roberta": partial(random_model, "xlm-roberta", "AutoModelForMaskedLM", **SHAPE),
}
