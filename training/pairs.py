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
    """The texts that score the two sentences of a pair, and its row in the file."""

    more: list[Row]
    less: list[Row]
    csv_row: int


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
    `target` [M] (where predictions are read in the logits, and of which token), `place` and `owner` [N] (which of these
    each scored token is, and whose: the sentences are counted with the P more stereotypical ones first), the pairs'
    rows in the file, `csv_row` [P], and the number of `pairs`. Here each scored token has a prediction of its own,
    M = N.
    """

    pad_token_id: int

    def __call__(self, items: Sequence[PairRows]) -> dict[str, Any]:
        sentences = [item.more for item in items] + [item.less for item in items]
        rows = [(owner, row) for owner, its in enumerate(sentences) for row in its]
        inputs: dict[str, Tensor] = {}
        for name in rows[0][1].inputs:
            ids, mask = self._padded([row.inputs[name] for _, row in rows])
            inputs |= {name: ids, name.replace("input_ids", "attention_mask"): mask}
        places = [
            (number, column, target, owner)
            for number, (owner, row) in enumerate(rows)
            for column, target in zip(row.columns, row.targets, strict=True)
        ]
        scored = dict(zip(("row", "column", "target", "owner"), torch.tensor(places).unbind(1), strict=True))
        scored["place"] = torch.arange(len(places))
        csv_row = torch.tensor([item.csv_row for item in items])
        return {**inputs, "scored": {**scored, "csv_row": csv_row, "pairs": len(items)}}

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        ids = torch.full((len(rows), max(map(len, rows))), self.pad_token_id)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        return ids, mask
