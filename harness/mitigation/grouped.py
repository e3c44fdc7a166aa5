"""Sentences of a text sorted by the group that they are about, for each to be had about every other group too."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.mitigation.word_list import WordList
from harness.mitigation.words import groups_of, swapped

FEWEST = 10
"""Sentences of each group that there must be: of fewer, what they have in common is not the group."""


class Grouped(NamedTuple):
    """Sentences with words for one group alone, by its number, and those with no listed word; in the text's order."""

    words: WordList
    groups: tuple[tuple[str, ...], ...]
    neutral: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        counts = dict(zip(self.words.groups, map(len, self.groups), strict=True))
        return {**counts, "no group": len(self.neutral)}

    def versions(self) -> list[tuple[str, ...]]:
        """Each sentence about every group, in the order of the groups; one of them is the sentence itself."""
        count = len(self.groups)
        return [
            tuple(
                sentence if other == group else str(swapped(sentence, self.words, [other] * count))
                for other in range(count)
            )
            for group, sentences in enumerate(self.groups)
            for sentence in sentences
        ]


def grouped(sentences: Sequence[str], words: WordList, source: str) -> Grouped:
    """Sort sentences; one with words for several groups goes nowhere.

    Args:
        source: where the sentences are from, for the message.

    Raises:
        ValueError: fewer than 10 of some group; says how many there are of each.
    """
    found: list[list[str]] = [[] for _ in words.groups]
    neutral = []
    for sentence in sentences:
        about = groups_of(sentence, words)
        if not about:
            neutral.append(sentence)
        elif len(about) == 1:
            found[min(about)].append(sentence)
    result = Grouped(words, tuple(map(tuple, found)), tuple(neutral))
    if min(map(len, result.groups)) < FEWEST:
        told = ", ".join(f"{name} {count}" for name, count in result.counts.items())
        raise ValueError(
            f"{source}: too few sentences about one group alone for bias type {words.bias_type!r}: {told}; at least "
            f"{FEWEST} of each group are needed. Give a larger text with --text, or other words with --words"
        )
    return result


def drawn(found: Grouped, most: int, seed: int, neutral: bool) -> Grouped:
    """At most `most` sentences of each group, drawn with the seed, in the text's order.

    Args:
        neutral: whether sentences without a listed word are wanted, as many as a class of `inlp` has; else none.
    """
    generator = random.Random(f"{seed}/{found.words.bias_type}")

    def some(sentences: tuple[str, ...], count: int) -> tuple[str, ...]:
        return tuple(
            sentences[number] for number in sorted(generator.sample(range(len(sentences)), min(count, len(sentences))))
        )

    groups = tuple(some(sentences, most) for sentences in found.groups)
    of_groups = sum(map(len, groups)) * (1 if len(groups) == 2 else len(groups))
    return Grouped(found.words, groups, some(found.neutral, of_groups if neutral else 0))
