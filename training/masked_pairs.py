"""Pairs as a masked model reads them: what is predicted is masked, and read from the tokens around it.

Special tokens are never masked. The modified tokens of a pair are those that its sentences do not share, as the
published CrowS score has it (Nangia et al. 2020).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from harness.data.crows_pairs import Pair
from harness.data.crows_pairs_pll import shared_tokens
from harness.data.masked_text import MaskedText, scored_text
from training.pairs import PairRows, Row

MASKED_SHARE = 0.15
"""Probability with which a token that both sentences share is masked in language modelling (Devlin et al. 2019)."""


@dataclass(frozen=True)
class PseudoLikelihoodRows:
    """One row a scored token, in which it alone is masked: what `balance` levels is the sentences' sum over them."""

    tokenizer: PreTrainedTokenizerBase
    tokens: Literal["modified", "all"]

    def __call__(self, pair: Pair, epoch: int) -> PairRows:
        more, less = (
            [
                _masked(self.tokenizer, text, [number])
                for number in (changed if self.tokens == "modified" else range(len(text.places)))
            ]
            for text, changed in _texts(self.tokenizer, pair)
        )
        return PairRows(more, less, pair.row)


@dataclass(frozen=True)
class MaskedLanguageRows:
    """One row a sentence, with its modified tokens masked and a random share of the others.

    Which others depends on `seed`, epoch and pair alone: not on batches, processes or where a run was resumed.
    """

    tokenizer: PreTrainedTokenizerBase
    seed: int

    def __call__(self, pair: Pair, epoch: int) -> PairRows:
        draw = random.Random(f"{self.seed} {epoch} {pair.pair_id}")
        more, less = (
            [_masked(self.tokenizer, text, _drawn(len(text.places), changed, draw))]
            for text, changed in _texts(self.tokenizer, pair)
        )
        return PairRows(more, less, pair.row)


def _texts(tokenizer: PreTrainedTokenizerBase, pair: Pair) -> list[tuple[MaskedText, list[int]]]:
    """Each sentence, and the numbers of its modified tokens.

    Raises:
        ValueError: the tokenizer makes the same tokens of both sentences.
    """
    texts = [scored_text(tokenizer, "", sentence) for sentence in (pair.sent_more, pair.sent_less)]
    _, *changed = shared_tokens(tokenizer, pair.sent_more, pair.sent_less)
    if not any(changed):
        raise ValueError(
            f"CrowS-Pairs row {pair.row}: {tokenizer.name_or_path} makes the same tokens of both sentences, so there "
            "is nothing to train on. Leave the row out, or take a model whose tokenizer tells them apart"
        )
    return list(zip(texts, changed, strict=True))


def _masked(tokenizer: PreTrainedTokenizerBase, text: MaskedText, chosen: Sequence[int]) -> Row:
    columns = [text.places[number] for number in chosen]
    ids = list(text.input_ids)
    for column in columns:
        ids[column] = tokenizer.mask_token_id
    return Row({"input_ids": ids}, columns, [text.input_ids[column] for column in columns])


def _drawn(tokens: int, changed: Sequence[int], draw: random.Random) -> list[int]:
    """`changed` and each other token with probability `MASKED_SHARE`; one at least."""
    chosen = [number for number in range(tokens) if number in changed or draw.random() < MASKED_SHARE]
    return chosen or [draw.randrange(tokens)]
