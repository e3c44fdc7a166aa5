"""A sample that is the same everywhere: of whatever is counted from 0, drawn by a hash and by nothing else."""

from __future__ import annotations

import hashlib


def drawn(key: str, total: int, count: int) -> list[int]:
    """`count` of the numbers 0 to `total` - 1, ascending: those n for which SHA-256 of "key/n" is smallest.

    All of them where `count` is `total` or more. No library's generator can change what a key draws.
    """
    if count >= total:
        return list(range(total))
    return sorted(sorted(range(total), key=lambda number: _digest(key, number))[: max(0, count)])


def _digest(key: str, number: int) -> bytes:
    return hashlib.sha256(f"{key}/{number}".encode()).digest()
