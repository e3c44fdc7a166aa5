"""Texts that begin alike as trees of tokens: what they share is one node, which the model computes once.

A tree is laid out as one row of the model's input, node after node, each behind its parent. A node attends to itself
and to the nodes on the way from the root to it, and its position is its depth, so that it sees exactly what it would
see in its text alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.inference.recipe import put_before
from harness.models.head import logits_at

Text = tuple[int, ...]


class Row(NamedTuple):
    """A tree: of each node its token, its parent's place (-1 for a root) and depth; of each text its nodes' places."""

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[tuple[Text, list[int]]]


def one_text(text: Text) -> Row:
    """The row of a text that shares nothing."""
    places = list(range(len(text)))
    return Row(list(text), [place - 1 for place in places], places, [(text, places)])


def rows(texts: Iterable[Text], at_most: int, never_more: int | None = None) -> Iterator[Row]:
    """Lay out distinct texts as trees; a text that begins two of them is in both.

    Args:
        at_most: nodes of a tree. More are taken where most of them are a beginning that all texts of the tree share.
        never_more: nodes of a tree of several texts, whatever they share.
    """
    row = Row([], [], [], [])
    before: Text = ()
    path: list[int] = []
    for text in sorted(texts):
        shared = _shared(before, text)
        new = len(text) - shared
        if row.tokens and len(row.tokens) + new > min(max(at_most, 2 * shared), never_more or sys.maxsize):
            yield row
            row, shared, path = Row([], [], [], []), 0, []
        path = path[:shared]
        for depth in range(shared, len(text)):
            row.parents.append(path[-1] if path else -1)
            path.append(len(row.tokens))
            row.tokens.append(text[depth])
            row.depths.append(depth)
        row.paths.append((text, path))
        before = text
    if row.tokens:
        yield row


def _shared(left: Text, right: Text) -> int:
    """How many tokens two texts begin with in common."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def after_prefix(row: Row, nodes: Sequence[int], prefix: Text, start: int | None) -> tuple[Row, list[int]]:
    """The row of the same texts with a prefix put into each (`put_before`), and where its nodes are then.

    What was predicted at a node is predicted at the node so many tokens further on.
    """
    texts = {text: tuple(put_before(text, prefix, start)) for text, _ in row.paths}
    (longer,) = rows(texts.values(), sys.maxsize) if len(texts) > 1 else [one_text(*texts.values())]
    paths = dict(longer.paths)
    moved = {
        node: paths[texts[text]][place + len(prefix)] for text, path in row.paths for place, node in enumerate(path)
    }
    return longer, [moved[node] for node in nodes]


def logits_of(model: Any, batch: Sequence[Row], chosen: Sequence[Sequence[int]], device: Any) -> Tensor:
    """[N, V]: logits at the chosen nodes of each row, in order, the vocabulary head computed there alone.

    Args:
        batch: rows of one text each, which are read as any text is, or trees.
        chosen: of each row the places of its nodes.
    """
    # A text by itself needs neither a mask nor positions.
    if all(len(row.paths) == 1 for row in batch):
        inputs = {"input_ids": _padded([row.tokens for row in batch])}
    else:
        ids, seen, positions = laid_out(batch)
        mask = additive(seen, next(model.parameters()).dtype)
        inputs = {"input_ids": ids, "attention_mask": mask[:, None], "position_ids": positions}
    owners = torch.tensor([number for number, places in enumerate(chosen) for _ in places])
    columns = torch.tensor([place for places in chosen for place in places])
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    return logits_at(model, owners.to(device), columns.to(device), **inputs, use_cache=False)


def laid_out(batch: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [B, T], which nodes each node sees [B, T, T], and positions [B, T], rows padded on the right."""
    ids, positions = _padded([row.tokens for row in batch]), _padded([row.depths for row in batch])
    # What pads a row attends to itself: a softmax over nothing is no number.
    seen = torch.eye(ids.shape[1], dtype=torch.bool).repeat(len(batch), 1, 1)
    for nodes, row in zip(seen, batch, strict=True):
        for place, parent in enumerate(row.parents):
            if parent >= 0:
                nodes[place] |= nodes[parent]
    return ids, seen, positions


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """[B, T], zeros on the right."""
    padded = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.tensor(row)
    return padded


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to attention's scores so that only what is seen counts."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


# Names under which configs give how far back a token sees. A tree may be laid out no wider than that.
_WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "local_attention", "attention_window")
# Of what the answers would change if the mask and the positions were not heeded.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_TOLERANCE_OF_HALF = 0.1


def widest(config: Any) -> int | None:
    """How many nodes a row may have for a model whose tokens see only so far back; None if they see everything."""
    inner = config.get_text_config() if hasattr(config, "get_text_config") else config
    windows = [getattr(inner, name, None) for name in _WINDOWS]
    return min((window for window in windows if isinstance(window, int) and window > 0), default=None)


@torch.inference_mode()
def takes_trees(model: Any, device: Any, tokens: Sequence[int]) -> bool:
    """Whether the model gives the same answers for a small tree as for its texts one by one.

    Models that count positions for themselves (ALiBi), pass a state from token to token or know no mask of this form
    do not. The difference is compared with that of the same row without mask and positions: weights that hardly heed
    their context would make any difference small.

    Args:
        tokens: seven of the model's.
    """
    a, b, c, d, e, f, g = tokens
    texts = [(a, b, c, d), (a, b, e, g, d), (a, f, c, g, b)]
    (row,) = rows(texts, 16)
    nodes = dict(row.paths)
    try:
        together = logits_of(model, [row], [range(len(row.tokens))], device).float().log_softmax(-1)
    except Exception:
        # Whatever a model says to a mask that it was not made for.
        return False
    ids = torch.tensor([row.tokens], device=device)
    flat = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
    apart = torch.empty_like(flat)
    for text in texts:
        alone = model(input_ids=torch.tensor([text], device=device), use_cache=False).logits[0]
        apart[nodes[text]] = alone.float().log_softmax(-1)
    wrong, unheeded = ((found - apart).abs().max().item() for found in (together, flat))
    dtype = next(model.parameters()).dtype
    return wrong <= _TOLERANCE.get(dtype, _TOLERANCE_OF_HALF) * unheeded + 1e-5
