"""Folds keep relatives together, are the same for any order, and nearly of one size."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest

from harness.data.crows_pairs import Pair
from training.folds import NEAR_DUPLICATE, _jaccard, grouped_folds, near_duplicates, related_groups

WORDS = [f"word{number}" for number in range(60)]


def pair(row: int, text: str, writer: str) -> Pair:
    return Pair(row, f"{text} he", f"{text} she", "stereo", "gender", writer)


def some_pairs(count: int, writers: int, seed: int = 0) -> list[Pair]:
    chance = random.Random(seed)
    return [pair(row, " ".join(chance.sample(WORDS, 7)), f"w{row % writers}") for row in range(count)]


def test_one_writers_pairs_share_a_fold() -> None:
    pairs = some_pairs(60, writers=12)
    folds = grouped_folds(pairs, 3)
    assert all(
        len({fold for its, fold in zip(pairs, folds, strict=True) if its.writer == f"w{w}"}) == 1 for w in range(12)
    )


def test_near_duplicates_of_two_writers_share_a_fold() -> None:
    text = " ".join(WORDS[:10])
    pairs = [*some_pairs(30, writers=10), pair(30, text, "left"), pair(31, f"{text} too", "right")]
    assert (30, 31) in near_duplicates(pairs)
    for folds in (2, 3, 5):
        assert len(set(grouped_folds(pairs, folds)[30:])) == 1


def test_near_duplicates_equal_a_comparison_of_all_with_all() -> None:
    pairs = some_pairs(120, writers=60) + [pair(120 + i, " ".join(WORDS[: 8 + i % 3]), f"x{i}") for i in range(12)]
    bags = [frozenset(f"{its.sent_more} {its.sent_less}".split()) for its in pairs]
    slow = [(i, j) for i, j in combinations(range(len(pairs)), 2) if _jaccard(bags[i], bags[j]) >= NEAR_DUPLICATE]
    assert near_duplicates(pairs) == slow
    assert slow


def test_the_order_of_the_file_changes_nothing() -> None:
    pairs = some_pairs(50, writers=17)
    before = dict(zip((its.pair_id for its in pairs), grouped_folds(pairs, 4), strict=True))
    shuffled = random.Random(1).sample(pairs, len(pairs))
    assert dict(zip((its.pair_id for its in shuffled), grouped_folds(shuffled, 4), strict=True)) == before


def test_more_folds_than_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="4 folds of 9 pairs in 3 groups"):
        grouped_folds(some_pairs(9, writers=3), 4)


def test_real_folds_are_level_and_keep_the_known_duplicates_together(real_pairs: list[Pair]) -> None:
    for count in (2, 5):
        folds = grouped_folds(real_pairs, count)
        assert folds[1459] == folds[1502]
        assert folds[15] == folds[47] == folds[1094]
        sizes = Counter(folds).values()
        assert max(sizes) - min(sizes) <= 2
    writers = {its.writer for its in real_pairs}
    assert len(related_groups(real_pairs)) <= len(writers)
