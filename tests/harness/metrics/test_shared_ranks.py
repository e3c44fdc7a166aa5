"""Ranks are shared exactly by what cannot be told apart, whatever is told from what."""

from __future__ import annotations

import itertools

from harness.metrics.shared_ranks import shared_ranks


def test_all_told_apart_are_ranked_one_by_one_and_none_told_apart_share_one_rank() -> None:
    pairs = [frozenset(pair) for pair in itertools.combinations("abc", 2)]
    assert shared_ranks("abc", pairs) == {"a": (1,), "b": (2,), "c": (3,)}
    assert shared_ranks("abc", []) == {"a": (1,), "b": (1,), "c": (1,)}
    assert shared_ranks("", []) == {}


def test_one_between_two_shares_a_rank_with_each() -> None:
    """The best is told from the last alone."""
    assert shared_ranks("abc", [frozenset("ac")]) == {"a": (1,), "b": (1, 2), "c": (2,)}


def test_a_wide_interval_may_share_the_best_s_rank_across_one_that_is_told_apart() -> None:
    assert shared_ranks("abc", [frozenset("ab"), frozenset("bc")]) == {"a": (1,), "b": (2,), "c": (1,)}


def test_two_share_a_rank_exactly_where_they_are_not_told_apart_in_every_case_of_five() -> None:
    names = "abcde"
    pairs = [frozenset(pair) for pair in itertools.combinations(names, 2)]
    for chosen in range(2 ** len(pairs)):
        apart = {pair for place, pair in enumerate(pairs) if chosen >> place & 1}
        ranks = {name: set(its) for name, its in shared_ranks(names, apart).items()}
        for one, other in map(sorted, pairs):
            assert bool(ranks[one] & ranks[other]) == (frozenset((one, other)) not in apart)
        assert 1 in ranks["a"]
        assert set.union(*ranks.values()) == set(range(1, max(map(max, ranks.values())) + 1))
