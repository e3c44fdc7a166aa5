"""Pairs as a causal model reads them: every token of a sentence is predicted from those before it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from harness.data.crows_pairs import Pair
from harness.models import prefix_tree
from training.pairs import PairRows, Row, shared_end


@dataclass(frozen=True)
class CausalRows:
    """One row a sentence. `start_token_id` precedes it, as it does when the pair is scored."""

    tokenizer: PreTrainedTokenizerBase
    start_token_id: int

    def __call__(self, pair: Pair, epoch: int) -> PairRows:
        more, less = self._row(pair.sent_more), self._row(pair.sent_less)
        return PairRows([more], [less], pair.row, shared_end(more.targets, less.targets))

    def _row(self, sentence: str) -> Row:
        ids = self.tokenizer.encode(sentence, add_special_tokens=False)
        return Row({"input_ids": [self.start_token_id, *ids]}, list(range(len(ids))), ids)


@dataclass(frozen=True)
class SharedPrefixCollator:
    """P pairs of `CausalRows` as P rows: what the sentences of a pair begin with is computed once.

    Returns what `PairCollator` does with trees for texts (see `harness.models.prefix_tree`): ids and positions [P, T],
    and which tokens each token sees, `attention_mask` [P, 1, T, T] of booleans. A token that both sentences expect at
    one place is predicted once. The last token of a sentence, which predicts nothing, is left out.
    """

    def __call__(self, items: Sequence[PairRows]) -> dict[str, Any]:
        trees, places, owners, in_end = [], [], [], []
        predicted: dict[tuple[int, int, int], int] = {}
        for number, item in enumerate(items):
            sentences = [(number, item.more[0]), (number + len(items), item.less[0])]
            texts = {owner: tuple(row.inputs["input_ids"][:-1]) for owner, row in sentences}
            (tree,) = prefix_tree.rows(set(texts.values()), sys.maxsize)
            paths = dict(tree.paths)
            trees.append(tree)
            for owner, row in sentences:
                for column, target in zip(row.columns, row.targets, strict=True):
                    node = paths[texts[owner]][column]
                    places.append(predicted.setdefault((number, node, target), len(predicted)))
                    owners.append(owner)
                in_end += [place >= -item.shared_end for place in range(-len(row.targets), 0)]
        ids, seen, positions = prefix_tree.laid_out(trees)
        scored = dict(zip(("row", "column", "target"), torch.tensor(list(predicted)).unbind(1), strict=True))
        csv_row = torch.tensor([item.csv_row for item in items])
        return {
            "input_ids": ids,
            "attention_mask": seen[:, None],
            "position_ids": positions,
            "scored": {
                **scored,
                "place": torch.tensor(places),
                "owner": torch.tensor(owners),
                "in_end": torch.tensor(in_end).long(),
                "csv_row": csv_row,
                "pairs": len(items),
            },
        }


def reads_trees(model: PreTrainedModel, longest: int) -> bool:
    """Whether a causal model gives the same logits for the two sentences of a pair laid out as a tree.

    Args:
        longest: tokens of the longest sentence.
    """
    # ZeRO-3 has each process hold parts of the weights, which only a step puts together.
    if is_deepspeed_zero3_enabled():
        return False
    narrow = prefix_tree.widest(model.config)
    if narrow is not None and narrow < 2 * longest:
        return False
    last = int(model.get_input_embeddings().weight.shape[0])
    tokens = [last * number // 8 for number in range(1, 8)]
    return prefix_tree.takes_trees(model, model.device, tokens)
