"""k folds of CrowS-Pairs in which no pair has a relative on the other side.

Relatives are pairs of one writer (people repeat themselves: one writer wrote 130 of the 1,508) and near-duplicates
across writers. The crowd's validators cannot be kept apart too: five read each pair, and they link all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

from harness.data.crows_pairs import Pair

NEAR_DUPLICATE = 0.8
"""Jaccard similarity of word sets from which two pairs count as near-duplicates."""


def grouped_folds(pairs: Sequence[Pair], folds: int) -> list[int]:
    """The fold of every pair, a number below `folds`; the same for any order of `pairs`.

    The largest groups are placed first, each into the smallest fold, ties broken by a digest of the group's content.

    Raises:
        ValueError: fewer than two folds, or fewer groups of relatives than folds.
    """
    groups = related_groups(pairs)
    if not 2 <= folds <= len(groups):
        raise ValueError(f"{folds} folds of {len(pairs)} pairs in {len(groups)} groups: give 2 to that many groups")
    names = [_digest(pairs, group) for group in groups]
    sizes = [0] * folds
    assigned = [0] * len(pairs)
    for name, group in sorted(zip(names, groups, strict=True), key=lambda item: (-len(item[1]), item[0])):
        fold = min(range(folds), key=lambda candidate: (sizes[candidate], _rank(name, candidate)))
        sizes[fold] += len(group)
        for index in group:
            assigned[index] = fold
    return assigned


def related_groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Indices of `pairs`, connected through a shared writer or through near-duplicate text."""
    parent = list(range(len(pairs)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_of_writer: dict[str, int] = {}
    for index, pair in enumerate(pairs):
        parent[root(index)] = root(first_of_writer.setdefault(pair.writer, index))
    for left, right in near_duplicates(pairs):
        parent[root(left)] = root(right)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(pairs)):
        groups[root(index)].append(index)
    return list(groups.values())


def near_duplicates(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """Index pairs whose words, those of both sentences together, overlap by at least `NEAR_DUPLICATE`."""
    words = [frozenset(re.findall(r"[\w']+", f"{pair.sent_more} {pair.sent_less}".lower())) for pair in pairs]
    holders: dict[str, list[int]] = defaultdict(list)
    for index, bag in enumerate(words):
        for word in bag:
            holders[word].append(index)
    found = []
    for index, bag in enumerate(words):
        # A bag sharing >= 80% with another must share one of its rarest fifth plus one words: look only there.
        rarest = sorted(bag, key=lambda word: (len(holders[word]), word))[: len(bag) // 5 + 1]
        candidates = {other for word in rarest for other in holders[word] if other < index}
        found += [(other, index) for other in candidates if _jaccard(bag, words[other]) >= NEAR_DUPLICATE]
    return sorted(found)


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)


def _digest(pairs: Sequence[Pair], group: Sequence[int]) -> str:
    return hashlib.sha256("".join(sorted(pairs[index].pair_id for index in group)).encode()).hexdigest()


def _rank(name: str, fold: int) -> str:
    return hashlib.sha256(f"{name}{fold}".encode()).hexdigest()
