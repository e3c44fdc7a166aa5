"""Ranks that are shared by what cannot be told apart.

The compact letter display (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons",
J. Comput. Graph. Stat. 13: 456-466) with numbers in place of letters. "Not told apart" is no equivalence: A may not be
told from B, nor B from C, and A from C all the same. So one may have several ranks, and two share one exactly where
they are not told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

Pair = frozenset[str]
"""Two that are told apart."""


def shared_ranks(ordered: Sequence[str], apart: Collection[Pair]) -> dict[str, tuple[int, ...]]:
    """The ranks of each: 1 for the first and all that stand with it, and so on; ascending.

    Args:
        ordered: best first, by what was measured.
        apart: those of which one was shown to be better than the other.
    """
    groups = [frozenset(ordered)] if ordered else []
    for pair in sorted(apart, key=sorted):
        split = [part for group in groups for part in (_without(group, pair) if pair <= group else [group])]
        groups = [one for place, one in enumerate(split) if not _within_another(one, place, split)]
    place = {name: number for number, name in enumerate(ordered)}
    ranked = sorted(groups, key=lambda group: sorted(place[name] for name in group))
    return {name: tuple(rank for rank, group in enumerate(ranked, start=1) if name in group) for name in ordered}


def _without(group: frozenset[str], pair: Pair) -> list[frozenset[str]]:
    return [group - {name} for name in sorted(pair)]


def _within_another(one: frozenset[str], place: int, groups: Sequence[frozenset[str]]) -> bool:
    """Whether a group says nothing that another, or an equal one before it, does not say."""
    return any(one < other or (one == other and before < place) for before, other in enumerate(groups))
