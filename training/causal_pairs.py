"""Pairs as a causal model reads them: every token of a sentence is predicted from those before it."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from harness.data.crows_pairs import Pair
from training.pairs import PairRows, Row


@dataclass(frozen=True)
class CausalRows:
    """One row a sentence. `start_token_id` precedes it, as it does when the pair is scored."""

    tokenizer: PreTrainedTokenizerBase
    start_token_id: int

    def __call__(self, pair: Pair, epoch: int) -> PairRows:
        return PairRows([self._row(pair.sent_more)], [self._row(pair.sent_less)], pair.row)

    def _row(self, sentence: str) -> Row:
        ids = self.tokenizer.encode(sentence, add_special_tokens=False)
        return Row({"input_ids": [self.start_token_id, *ids]}, list(range(len(ids))), ids)
