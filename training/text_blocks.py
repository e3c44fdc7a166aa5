"""Running text to train on by language modelling: paragraphs in pieces, a batch of which is a step's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.data.families import Family
from harness.models.embedded import embedded, unknown_token
from harness.models.positions import window
from training.counterfactual_text import texts_of
from training.pair_arguments import PairArguments
from training.pairs import PairInEpoch, Row, padded
from training.running_text import RowOfText, text_file
from training.text_rows import longest_piece, row_of_text


class TextRow(NamedTuple):
    """One piece of text through the model, and its number."""

    row: Row
    number: int


class TextBlocks(Dataset[TextRow]):
    """Pieces of text, 2 tokens or more; what is hidden in each is drawn anew in every epoch, by the seed alone."""

    called, unit = "texts", "texts"

    def __init__(self, pieces: Sequence[Sequence[int]], row_of: RowOfText, seed: int) -> None:
        self.pieces, self.row_of, self.seed = pieces, row_of, seed
        self.lengths = [len(piece) for piece in pieces]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, key: PairInEpoch) -> TextRow:
        row = self.row_of(self.pieces[key.pair], f"{self.seed} {key.epoch} {key.pair}")
        return TextRow(row, key.pair)


@dataclass(frozen=True)
class TextCollator:
    """Pads pieces of text on the right into one batch, laid out as `PairCollator` lays out pairs.

    Each piece counts as one of the `pairs`; its number stands in `csv_row`, and none has a shared end.
    """

    pad_token_id: int

    def __call__(self, items: Sequence[TextRow]) -> dict[str, Any]:
        inputs, scored = padded([item.row for item in items], self.pad_token_id)
        scored |= {"place": torch.arange(len(scored["row"])), "owner": scored["row"]}
        scored |= {"in_end": torch.zeros_like(scored["row"]), "csv_row": torch.tensor([item.number for item in items])}
        return {**inputs, "scored": {**scored, "pairs": len(items)}}


def text_blocks(
    arguments: PairArguments, family: Family, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, seed: int
) -> TextBlocks:
    """What `cda` or `dropout` trains on: paragraphs, the long ones cut evenly into pieces of at most `block_tokens`.

    Raises:
        FileNotFoundError, ValueError: as `texts_of`; or the model cannot read such pieces, or a token of them.
    """
    tokens = arguments.block_tokens
    if tokens > (longest := longest_piece(family, tokenizer, window(model))):
        raise ValueError(f"block_tokens={tokens}: {arguments.model_name_or_path} reads {longest} at once; lower it")
    encoded = tokenizer(texts_of(arguments, seed), add_special_tokens=False, verbose=False)["input_ids"]
    # A token alone has nothing around it to be told from.
    pieces = [piece for ids in encoded for piece in _cut(ids, tokens) if len(piece) > 1]
    if told := unknown_token(tokenizer, model, *pieces):
        path = text_file(arguments).path
        raise ValueError(f"{path}: the text has {told}; put the model's own tokenizer beside its weights")
    random_tokens = min(len(tokenizer), embedded(model))
    return TextBlocks(pieces, row_of_text(arguments, family, tokenizer, random_tokens), seed)


def _cut(ids: Sequence[int], longest: int) -> Iterator[list[int]]:
    """As few pieces as can be, of lengths that differ by one token at most."""
    count = -(-len(ids) // longest)
    bounds = [number * len(ids) // count for number in range(count + 1)] if count else []
    return (list(ids[start:end]) for start, end in pairwise(bounds))
