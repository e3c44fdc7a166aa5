"""Adapters that were trained after tokens were added: the base model gets as many rows as their files bring."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

MERGE = (
    "Merge the adapter with its resized base model (merge_and_unload), save the tokenizer beside it, and score the "
    "merged model"
)
log = logging.getLogger(__name__)


def fit_vocabulary(base: Any, config: Any, weights: Mapping[str, Tensor], path: Path, pretrained: str) -> bool:
    """Resize the embeddings and the output layer of `base` to those in an adapter's file, where it has other ones.

    The values of added rows are still to be loaded from the file, which has to have them all.

    Returns:
        Whether the model was resized.

    Raises:
        ValueError: the file does not say what the added tokens' rows are.
    """
    embeddings, head = base.get_input_embeddings(), base.get_output_embeddings()
    matrices = {_name(base, embeddings): embeddings.weight}
    if head is not None and head.weight is not embeddings.weight:
        matrices[_name(base, head)] = head.weight
    rows = len(embeddings.weight)
    brought = {name: tensor for name in matrices if (tensor := _brought(weights, name)) is not None}
    wanted = {len(tensor) for tensor in brought.values()} or {_targeted(config, rows)}
    if wanted == {rows}:
        return False
    if len(wanted) > 1 or len(brought) < len(matrices):
        lacking = ", ".join(name for name in matrices if name not in brought) or "one vocabulary for both"
        raise ValueError(
            f"{path}: made for a vocabulary of {max(wanted)} tokens, and {pretrained} has {rows}. Its file lacks "
            f"{lacking}, so what the added tokens look like is not known. {MERGE}"
        )
    log.warning(
        "%s: made for a vocabulary of %d tokens, and %s has %d, which is resized. Texts are cut into tokens by the "
        "tokenizer of the base; tokenizer=%s takes the adapter's own",
        *(path, next(iter(wanted)), pretrained, rows, path),
    )
    base.resize_token_embeddings(next(iter(wanted)), mean_resizing=False)
    return True


def _name(base: nn.Module, module: nn.Module) -> str:
    return next(str(name) for name, found in base.named_modules() if found is module)


def _brought(weights: Mapping[str, Tensor], module: str) -> Tensor | None:
    """The whole matrix of a module, as PEFT saves it: trained along, or along with an adapter on it."""
    ends = ("weight", "base_layer.weight", "token_adapter.base_layer.weight")
    names = (f"base_model.model.{module}.{end}" for end in ends)
    return next((weights[name] for name in names if name in weights), None)


def _targeted(config: Any, rows: int) -> int:
    """The rows that tokens trained one by one (`trainable_token_indices`) need."""
    indices = config.trainable_token_indices or []
    lists = indices.values() if isinstance(indices, dict) else [indices]
    return max([rows, *(int(index) + 1 for one in lists for index in one)])
