"""Pairs as token ids: what a step of training sees, in one shape for every family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from harness.data.crows_pairs import Pair


class Row(NamedTuple):
    """One text through the model: ids by the name of the model's argument, and what is expected of its logits.

    `targets[k]` is the token that the logits at position `columns[k]` predict.
    """

    inputs: Mapping[str, list[int]]
    columns: list[int]
    targets: list[int]


class PairRows(NamedTuple):
    """The texts that score the two sentences of a pair, and its row in the file.

    `shared_end` counts the last scored tokens that the sentences share, of sentences that are predicted one after the
    other: those behind all in which they differ.
    """

    more: list[Row]
    less: list[Row]
    csv_row: int
    shared_end: int = 0


def shared_end(more: Sequence[int], less: Sequence[int]) -> int:
    """How many last tokens two texts share, without those that they begin with in common."""
    begin = _in_common(more, less)
    longest = min(len(more), len(less)) - begin
    return min(longest, _in_common(more[::-1], less[::-1]))


def _in_common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))


RowsOf = Callable[[Pair, int], PairRows]
"""A family's way to ask for a pair in an epoch (from 0): the same rows whenever and wherever it is asked."""


Collator = Callable[[Sequence[PairRows]], dict[str, Any]]
"""Makes a batch of pairs, as `PairCollator` describes it."""


class PairInEpoch(NamedTuple):
    """What the sampler asks the data set for: rows with random masks are drawn anew in every epoch."""

    pair: int
    epoch: int


class PairDataset(Dataset[PairRows]):
    """Pairs as rows; `lengths` holds the tokens of each one's longest text.

    Args:
        unknown: what to say of the first of these ids that the model cannot look up; None if it can look up all.

    Raises:
        ValueError: a text is longer than `window` tokens, or has one that the model cannot look up; names the row.
    """

    called, unit = "CrowS-Pairs rows", "pairs"

    def __init__(
        self,
        pairs: Sequence[Pair],
        rows_of: RowsOf,
        window: int,
        unknown: Callable[..., str | None] = lambda *_: None,
    ) -> None:
        self.pairs, self.rows_of = pairs, rows_of
        self.lengths: list[int] = []
        for pair in pairs:
            rows = rows_of(pair, 0)
            length = max(len(ids) for row in rows.more + rows.less for ids in row.inputs.values())
            if length > window:
                raise ValueError(
                    f"CrowS-Pairs row {pair.row}: {length} tokens with special tokens, and the model takes {window}. "
                    "Nothing is ever cut: take a model with a longer window, or leave the row out"
                )
            if told := unknown(*(ids for row in rows.more + rows.less for ids in (*row.inputs.values(), row.targets))):
                raise ValueError(
                    f"CrowS-Pairs row {pair.row}: its text has {told}. Leave the row out, or put the model's own "
                    "tokenizer beside its weights"
                )
            self.lengths.append(length)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: PairInEpoch) -> PairRows:
        return self.rows_of(self.pairs[key.pair], key.epoch)


@dataclass(frozen=True)
class PairCollator:
    """Pads the R rows of P pairs on the right into one batch.

    Returns the model's arguments, ids and attention masks [R, T], and beside them `scored`: `row`, `column` and
    `target` [M] (where predictions are read in the logits, and of which token), `place`, `owner` and `in_end` [N]
    (which of these each scored token is; whose, the sentences counted with the P more stereotypical ones first; and
    whether it is of the pair's shared end), the pairs' rows in the file, `csv_row` [P], and the number of `pairs`. Here
    each scored token has a prediction of its own, M = N.
    """

    pad_token_id: int

    def __call__(self, items: Sequence[PairRows]) -> dict[str, Any]:
        sentences = [(item.more, item.shared_end) for item in items] + [(item.less, item.shared_end) for item in items]
        owners = [(owner, end, row) for owner, (its, end) in enumerate(sentences) for row in its]
        rows = [row for _, _, row in owners]
        tokens = [(owner, place >= -end) for owner, end, row in owners for place in range(-len(row.targets), 0)]
        told = torch.tensor(tokens)
        inputs, scored = padded(rows, self.pad_token_id)
        scored |= {"place": torch.arange(len(told)), "owner": told[:, 0], "in_end": told[:, 1]}
        csv_row = torch.tensor([item.csv_row for item in items])
        return {**inputs, "scored": {**scored, "csv_row": csv_row, "pairs": len(items)}}


def padded(rows: Sequence[Row], pad_token_id: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rows padded on the right: the model's arguments [R, T], and `row`, `column` and `target` [M] of predictions."""
    inputs: dict[str, Tensor] = {}
    for name in rows[0].inputs:
        texts = [row.inputs[name] for row in rows]
        ids = torch.full((len(texts), max(map(len, texts))), pad_token_id)
        mask = torch.zeros_like(ids)
        for number, text in enumerate(texts):
            ids[number, : len(text)] = torch.tensor(text)
            mask[number, : len(text)] = 1
        inputs |= {name: ids, name.replace("input_ids", "attention_mask"): mask}
    places = [
        (number, column, target)
        for number, row in enumerate(rows)
        for column, target in zip(row.columns, row.targets, strict=True)
    ]
    return inputs, dict(zip(("row", "column", "target"), torch.tensor(places).unbind(1), strict=True))
