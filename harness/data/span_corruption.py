"""T5's own training task on running text: spans of it are hidden behind sentinels, and the decoder gives them back.

Raffel et al. 2020 (arXiv 1910.10683, sections 3.1.4 and 3.3.4): 15% of the tokens, in spans of 3 on average. Lengths
are drawn as in T5's code (`random_spans_noise_mask`, `noise_span_to_unique_sentinel`), but by a hash, so the same ones
every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, takewhile
from typing import Any, NamedTuple

from harness.data.draw import drawn
from harness.data.infill import require_sentinels, sentinel

NOISE = 0.15
MEAN_SPAN = 3
LONGEST = 512


class Corrupted(NamedTuple):
    """One window of a text: the encoder's ids and the decoder's labels, both closed by the end token.

    `length` counts the window's own tokens, `hidden` those of them that are among the labels.
    """

    source: list[int]
    target: list[int]
    length: int
    hidden: int


def window_of(tokenizer: Any, positions: int, asking: str) -> int:
    """How many tokens of text one window may have: 512, or fewer where the model has fewer positions or sentinels.

    Raises:
        ValueError: the tokenizer has no sentinels, so its model was never trained to fill spans in; names it.
    """
    require_sentinels(tokenizer, asking)
    sentinels = len(sentinel_ids(tokenizer))
    sizes = ((length, *spans_in(length)) for length in range(2, LONGEST + 1))
    return max(
        length for length, hidden, spans in sizes if spans <= sentinels and length - hidden + spans + 1 <= positions
    )


def spans_in(length: int) -> tuple[int, int]:
    """How many tokens of a window of `length`, 2 or more, are hidden, and in how many spans."""
    hidden = min(max(round(length * NOISE), 1), length - 1)
    return hidden, max(round(hidden / MEAN_SPAN), 1)


def corrupted(tokenizer: Any, text: str, window: int, key: str) -> list[Corrupted]:
    """A text cut into consecutive windows of `window` tokens, each with spans hidden; one token alone is left out.

    Args:
        key: decides, with a window's number, which spans.
    """
    ids = list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    sentinels = sentinel_ids(tokenizer)
    pieces = [ids[start : start + window] for start in range(0, len(ids), window)]
    return [
        hidden_in(piece, sentinels, tokenizer.eos_token_id, f"{key}/{number}")
        for number, piece in enumerate(pieces)
        if len(piece) > 1
    ]


def hidden_in(ids: Sequence[int], sentinels: Sequence[int], end: int, key: str) -> Corrupted:
    """One window of 2 tokens or more with spans of it hidden; `key` decides which."""
    hidden, spans = spans_in(len(ids))
    kept = _lengths(len(ids) - hidden, spans, f"{key}/kept")
    noise = _lengths(hidden, spans, f"{key}/hidden")
    source: list[int] = []
    target: list[int] = []
    place = 0
    for mark, before, within in zip(sentinels, kept, noise, strict=False):
        source += [*ids[place : place + before], mark]
        target += [mark, *ids[place + before : place + before + within]]
        place += before + within
    return Corrupted([*source, end], [*target, end], len(ids), hidden)


def _lengths(total: int, parts: int, key: str) -> list[int]:
    """`total` cut into so many lengths of 1 or more, every way of cutting equally likely."""
    cuts = [cut + 1 for cut in drawn(key, total - 1, parts - 1)]
    return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]


def sentinel_ids(tokenizer: Any) -> list[int]:
    """Ids of the sentinels that a tokenizer has, in order."""
    ids = (tokenizer.convert_tokens_to_ids(sentinel(number)) for number in count())
    return [int(token) for token in takewhile(lambda token: token not in (None, tokenizer.unk_token_id), ids)]
