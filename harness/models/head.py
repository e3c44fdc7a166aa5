"""The vocabulary head where predictions are read, and nowhere else: its logits are a model's largest tensors."""

from __future__ import annotations

from typing import Any

from accelerate.utils import extract_model_from_parallel
from torch import Tensor, nn


def logits_at(model: nn.Module, row: Tensor, column: Tensor, **inputs: Any) -> Tensor:
    """[N, V]: the logits that the model gives for `inputs` at the N places (row, column) of its texts, in order.

    Its output layer (`get_output_embeddings()`) is handed the hidden states [N, H] there instead of all [R, T, H]. Of a
    model that has none, or computes past it, the logits of all places are made and chosen from. The model may be
    wrapped for several processes.

    Raises:
        ValueError: what the model makes of the layer's output is not one row of logits a place.
    """
    whole = extract_model_from_parallel(model)
    head = whole.get_output_embeddings()
    is_chosen = False

    def choose(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal is_chosen
        is_chosen = True
        return (given[0][row, column], *given[1:])

    hook = None if head is None else head.register_forward_pre_hook(choose)
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        if hook is not None:
            hook.remove()
    if not is_chosen:
        return logits[row, column]
    if logits.shape[:-1] != row.shape:
        raise ValueError(
            f"the head of a {whole.config.model_type} model does not read each token's own hidden state: {len(row)} "
            f"tokens were given to it, and logits of shape {tuple(logits.shape)} came; this model cannot be used here"
        )
    return logits
