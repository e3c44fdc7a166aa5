"""Masked scores from their definition: one text with one mask at a time, through transformers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from transformers import AutoModelForMaskedLM, AutoTokenizer


class Reference:
    """A masked model and its tokenizer, as transformers loads them."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def ids(self, *tokens: str) -> list[int]:
        """Ids of tokens as they stand in the vocabulary."""
        return [int(token) for token in self.tokenizer.convert_tokens_to_ids(list(tokens))]

    @torch.inference_mode()
    def log_p(self, ids: Sequence[int], place: int) -> torch.Tensor:
        """[V]: log-probabilities at one place of one text."""
        logits: torch.Tensor = self.model(input_ids=torch.tensor([list(ids)])).logits
        return logits[0, place].log_softmax(-1)

    def token_scores(self, ids: Sequence[int], places: Sequence[int]) -> list[float]:
        """log P(token | all others) of the tokens at these places."""
        found = []
        for place in places:
            masked = [*ids[:place], self.tokenizer.mask_token_id, *ids[place + 1 :]]
            found.append(float(self.log_p(masked, place)[ids[place]]))
        return found

    def scored_places(self, ids: Sequence[int]) -> list[int]:
        """Where no token stands that opens or closes a text."""
        around = {self.tokenizer.cls_token_id, self.tokenizer.sep_token_id}
        return [place for place, token in enumerate(ids) if token not in around]

    def pseudo_log_likelihood(self, text: str) -> float:
        """Sum over a text's tokens of log P(token | all others)."""
        ids = self.tokenizer(text)["input_ids"]
        return sum(self.token_scores(ids, self.scored_places(ids)))


def requests(*arguments: tuple[Any, ...], kind: str = "loglikelihood") -> list[Any]:
    """lm-eval's requests of one task, a document each."""
    return [Instance(kind, {}, one, 0, metadata=("tiny", number, 1)) for number, one in enumerate(arguments)]
