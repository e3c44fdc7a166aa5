"""What is asked of a causal model: requests as trees of tokens, their share for each process, and the answers."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from harness.models.prefix_tree import Row, Text, one_text, rows

Tokenised: TypeAlias = tuple[Any, list[int], list[int]]
"""As lm-eval hands requests on: (context and continuation, tokens of the context, tokens of the continuation)."""
Answer: TypeAlias = tuple[float, bool]
"""Log-probability of the continuation in nats, and whether greedy decoding would give it."""


class Tree(NamedTuple):
    """A row with what is asked of it.

    `nodes` are those that predictions are read from; `asked` has of each request its number, the predictions' places
    among these nodes, and the tokens that are expected there.
    """

    row: Row
    nodes: list[int]
    asked: list[tuple[int, list[int], list[int]]]

    @property
    def width(self) -> int:
        """Positions in the row."""
        return len(self.row.tokens)

    @property
    def is_shared(self) -> bool:
        """Whether it is of several texts."""
        return len(self.row.paths) > 1


def fed(request: Tokenised) -> Text:
    """The tokens that the model is fed: requests that differ in their last token only are one text."""
    _, context, continuation = request
    return tuple(context + continuation[:-1])


def trees(requests: Sequence[Tokenised], at_most: int | None, never_more: int | None) -> list[Tree]:
    """Requests as trees, widest first: `at_most` and `never_more` as `harness.models.prefix_tree.rows` has them.

    Without `at_most` each text is a row of its own.
    """
    asked: defaultdict[Text, list[int]] = defaultdict(list)
    for number, request in enumerate(requests):
        asked[fed(request)].append(number)
    laid_out: Iterable[Row] = map(one_text, asked) if at_most is None else rows(asked, at_most, never_more)
    return sorted((_tree(row, requests, asked) for row in laid_out), key=lambda tree: (-tree.width, tree.row.tokens))


def _tree(row: Row, requests: Sequence[Tokenised], asked: Mapping[Text, Sequence[int]]) -> Tree:
    places: dict[int, int] = {}
    found = []
    for text, path in row.paths:
        for number in asked[text]:
            _, context, continuation = requests[number]
            nodes = path[len(context) - 1 :]
            found.append((number, [places.setdefault(node, len(places)) for node in nodes], continuation))
    return Tree(row, list(places), found)


def shares(asked: Sequence[Tree], processes: int, node_cost: float) -> list[list[Tree]]:
    """Trees for each process, so that all are done at about the same time: each goes to who has least to do.

    Args:
        asked: the widest first, as `trees` gives them.
        node_cost: what a position takes in the body, where a prediction takes 1 in the vocabulary head.
    """
    heap = [(0.0, number) for number in range(processes)]
    dealt: list[list[Tree]] = [[] for _ in range(processes)]
    for tree in asked:
        cost, number = heapq.heappop(heap)
        dealt[number].append(tree)
        heapq.heappush(heap, (cost + node_cost * tree.width + len(tree.nodes), number))
    return dealt


def answers(batch: Sequence[Tree], logits: Tensor) -> Iterator[tuple[int, Answer]]:
    """Numbers of requests and their answers.

    Args:
        logits: [N, V], of the nodes of each tree in order, in the precision that sums are to have.
    """
    first = 0
    lines: list[int] = []
    targets: list[int] = []
    for tree in batch:
        for _, places, expected in tree.asked:
            lines += [first + place for place in places]
            targets += expected
        first += len(tree.nodes)
    line, target = torch.tensor(lines, device=logits.device), torch.tensor(targets, device=logits.device)
    logprobs = logits[line, target] - logits.logsumexp(-1)[line]
    tops = logits.argmax(-1)[line] == target
    # One transfer from the device for all of them.
    found = iter(torch.stack([logprobs, tops.to(logprobs.dtype)], 1).tolist())
    for tree in batch:
        for number, places, _ in tree.asked:
            own = [next(found) for _ in places]
            yield number, (math.fsum(logprob for logprob, _ in own), all(top for _, top in own))
