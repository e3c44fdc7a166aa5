"""What somebody may have meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(wrong: str, known: Iterable[str], closeness: float = 0.7) -> str:
    """`; did you mean 'crows_pairs'?`, to go on with after a name; a full stop where nothing is near.

    Args:
        closeness: of a near one, from 0 to 1, where 1 is equal.
    """
    found = get_close_matches(wrong, list(dict.fromkeys(known)), n=2, cutoff=closeness)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else "."
