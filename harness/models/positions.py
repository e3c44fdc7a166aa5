"""How many tokens a model reads at once, by its own matrices or, where it has none, its config."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def learned_positions(model: PreTrainedModel) -> int | None:
    """Tokens that the model has position embeddings for; None if it has no such matrix. RoBERTa's start late."""
    from torch import nn

    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # Its positions start after its padding id.
            return int(module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1))
    return None


def window(model: PreTrainedModel) -> int:
    """Tokens that the model reads at once, special tokens included; without any limit `sys.maxsize`."""
    if (learned := learned_positions(model)) is not None:
        return learned
    return window_told(model.config) or sys.maxsize


def window_told(config: PretrainedConfig) -> int | None:
    """Tokens that a model reads at once by its config; None if that sets no limit."""
    positions = ("max_position_embeddings", "n_positions")
    return next((int(getattr(config, name)) for name in positions if hasattr(config, name)), None)
