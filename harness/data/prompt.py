"""How a question is put: the template that a user gives, checked before anything is asked, and orders of options."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from string import Formatter
from typing import TypeVar

from harness.storage.reading import shown
from harness.storage.text import read_text

WORDING = "wording"
OTHER_WORDING = "second"

Option = TypeVar("Option")


def worded(metadata: Mapping[str, object], first: str, second: str) -> str:
    """The wording that the metadata `wording` asks for: "first", which is the default, or "second".

    Raises:
        ValueError: another one.
    """
    given = metadata.get(WORDING, "first")
    if given not in ("first", OTHER_WORDING):
        raise ValueError(f"{WORDING}={given!r}: expected first or {OTHER_WORDING}; prompt_template=... takes your own")
    return second if given == OTHER_WORDING else first


def choose_template(given: object, default: str, placeholders: Sequence[str], key: str = "prompt_template") -> str:
    """The template to ask with: `default`, unless `given` (the metadata `key`) is a text or a file of one.

    Raises:
        ValueError: not every placeholder is in it, or others are, or it is neither a text with braces nor a file.
    """
    if given is None:
        return default
    template = str(given)
    if "{" not in template:
        if not Path(template).is_file():
            raise ValueError(
                f"{key}={template!r} is neither a file nor a text with "
                f"{', '.join(f'{{{name}}}' for name in placeholders)}"
            )
        key, template = f"{key}={template}", read_text(Path(template)).rstrip("\n")
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{key}: {error}; a brace that stands for itself is written twice") from error
    found = [str(name) for _, name, _, _ in parts]
    if styled := [name for _, name, style, conversion in parts if style or conversion]:
        raise ValueError(f"{key}: {styled[0]!r} has a format of its own; write {{{styled[0]!s}}} without one")
    missing, unknown = sorted(set(placeholders) - set(found)), sorted(set(found) - set(placeholders))
    if missing or unknown:
        raise ValueError(
            f"{key}: placeholders missing: {missing}, unknown: {shown(unknown)}; expected each of {tuple(placeholders)}"
        )
    return template


def orders(item: str, options: Sequence[Option], count: int) -> list[tuple[Option, ...]]:
    """The orders in which an item's three options are shown: one, its 3 rotations, or all 6.

    The first is drawn by the item's name, so that with a single order no option has a favoured position.
    """
    every = list(permutations(options))
    first = every[hashlib.sha256(item.encode()).digest()[0] % len(every)]
    rotations = [first[turn:] + first[:turn] for turn in range(len(first))]
    return (rotations + [order for order in every if order not in rotations])[:count]


def permutations_of(given: object) -> int:
    """How many orders of three options the metadata `permutations` asks for.

    Raises:
        ValueError: neither 1, 3 nor 6.
    """
    if str(given) not in ("1", "3", "6"):
        raise ValueError(f"permutations={given!r}: expected 1, 3 (each option in each position once) or 6 (all orders)")
    return int(str(given))
