"""Pairs as token ids: what a step of training sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from harness.data.crows_pairs import Pair


class PairDataset(Dataset[dict[str, Any]]):
    """Tokenized pairs. `start_token_id` precedes every sentence, as it does when the pair is scored.

    Raises:
        ValueError: a sentence is longer than `max_length` tokens; names the row.
    """

    def __init__(
        self, pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, start_token_id: int, max_length: int
    ) -> None:
        self.items: list[dict[str, Any]] = []
        for pair in pairs:
            more, less = (
                [start_token_id, *tokenizer.encode(sentence, add_special_tokens=False)]
                for sentence in (pair.sent_more, pair.sent_less)
            )
            longest = max(len(more), len(less))
            if longest > max_length:
                raise ValueError(
                    f"CrowS-Pairs row {pair.row}: {longest} tokens with the start token, the model takes {max_length}"
                )
            self.items.append({"more": more, "less": less, "length": longest})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]

    @property
    def column_names(self) -> list[str]:
        """What `Trainer`'s length-grouped sampler asks for, to find `length` without tokenizing again."""
        return ["more", "less", "length"]


@dataclass(frozen=True)
class PairCollator:
    """Pads P pairs on the right into one batch of 2P sentences, the more stereotypical ones first.

    Returns `input_ids`, `attention_mask` [2P, T] and `scored` [2P, T - 1], 1 where the next token is a sentence's own.
    """

    pad_token_id: int

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        sentences = [item["more"] for item in items] + [item["less"] for item in items]
        width = max(map(len, sentences))
        input_ids = torch.full((len(sentences), width), self.pad_token_id)
        attention_mask = torch.zeros((len(sentences), width), dtype=torch.long)
        for row, sentence in enumerate(sentences):
            input_ids[row, : len(sentence)] = torch.tensor(sentence)
            attention_mask[row, : len(sentence)] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask, "scored": attention_mask[:, 1:].float()}
