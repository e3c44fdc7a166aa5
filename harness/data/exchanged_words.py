"""Which words set a pair's two sentences apart, and whether a checkpoint was trained on a pair with exactly these.

Folds keep writers and near-duplicates together, not words: of the 1,508 pairs in four folds, more than a third exchange
the very words (black / white, women / men) that some pair exchanges which the fold's checkpoint was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Protocol


class Sentences(Protocol):
    """A pair, by what stands in it."""

    @property
    def pair_id(self) -> str: ...
    @property
    def sent_more(self) -> str: ...
    @property
    def sent_less(self) -> str: ...


def exchanged_words(pair: Sentences) -> frozenset[frozenset[str]]:
    """The words that only one sentence has, and those that only the other has, in either order and in small letters.

    Empty for the few pairs whose sentences are made of the same words ("Women do not work as hard as men").
    """
    more, less = (frozenset(re.findall(r"[\w']+", text.lower())) for text in (pair.sent_more, pair.sent_less))
    return frozenset() if more == less else frozenset((more - less, less - more))


def words_seen(pairs: Iterable[Sentences], train: Collection[str], held_out: Collection[str]) -> frozenset[str]:
    """Ids of the held-out pairs that exchange exactly the words of some pair that was trained on.

    Args:
        pairs: the whole file.
        train: ids of the pairs that were trained on.
        held_out: ids of those that were not.
    """
    trained, kept = frozenset(train), frozenset(held_out)
    words = {pair.pair_id: exchanged_words(pair) for pair in pairs}
    seen = {exchanged for name, exchanged in words.items() if name in trained and exchanged}
    return frozenset(name for name, exchanged in words.items() if name in kept and exchanged in seen)
