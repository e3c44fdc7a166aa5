"""Which tokens a model has embeddings for: a tokenizer may have fewer (padded matrices), and some have more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from torch import nn


def unknown_token(tokenizer: Any, model: Any, *ids: Sequence[int]) -> str | None:
    """What to say of the first token that the model has no embedding for; None if it has them all."""
    embeddings = embedded(model)
    found = next((token for token in chain(*ids) if token >= embeddings), None)
    if found is None:
        return None
    return (
        f"the token {tokenizer.convert_ids_to_tokens(int(found))!r} (id {found}), and the model has embeddings of "
        f"{embeddings} tokens, ids 0 to {embeddings - 1}"
    )


def embedded(model: Any) -> int:
    """How many tokens the model has embeddings for."""
    # An adapter on the embeddings wraps them.
    wrapped = model.get_input_embeddings().modules()
    return next(int(module.num_embeddings) for module in wrapped if isinstance(module, nn.Embedding))


def padding_id(tokenizer: Any, model: Any) -> int:
    """The id to pad with: the tokenizer's own where the model can look it up, since padding is masked but looked up.

    lm-eval adds a `<|pad|>` to tokenizers without one, and Llama 2's `<pad>` lies beyond its model's embeddings.
    """
    wanted = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
    if tokenizer.pad_token_id is None:
        return 0
    return next(
        (int(token) for token in wanted if token is not None and not unknown_token(tokenizer, model, [token])), 0
    )
