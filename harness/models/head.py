"""The vocabulary head where predictions are read, and nowhere else: its logits are a model's largest tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def logits_at(model: nn.Module, head: nn.Module | None, row: Tensor, column: Tensor, **inputs: Any) -> Tensor:
    """[N, V]: the model's logits at the N places (row, column) of its texts, in order.

    Args:
        model: called with `inputs`; it may be wrapped for several processes.
        head: the module in it that turns hidden states [R, T, H] into logits, `get_output_embeddings()` of the
            unwrapped model. It is given [N, H] instead. Of a model that has none, or computes past it, the logits of
            all places are made and chosen from.
    """
    if head is None:
        every: Tensor = model(**inputs).logits
        return every[row, column]
    hook = head.register_forward_pre_hook(lambda _, given: (given[0][row, column], *given[1:]))
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        hook.remove()
    return logits if logits.dim() == 2 else logits[row, column]
