"""HurtLex 1.2, English (Bassignana et al. 2018): words to hurt, under 17 categories.

Licensed CC BY-NC-SA 4.0: read from the user's copy, never shipped.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from harness.data.table import read_table
from harness.storage.reading import shown

LEVELS = ("conservative", "inclusive")
CATEGORIES = (
    "an",
    "asf",
    "asm",
    "cds",
    "ddf",
    "ddp",
    "dmc",
    "is",
    "om",
    "or",
    "pa",
    "pr",
    "ps",
    "qas",
    "rci",
    "re",
    "svp",
)

Lexicon = Mapping[tuple[str, ...], tuple[str, ...]]


def read(path: Path) -> Lexicon:
    """The words of each conservative lemma, normalised, and all categories that it stands under, sorted.

    Lemmas of several words keep them all. One of which nothing is left (an emoji of marks alone) is left out.

    Raises:
        ValueError: not UTF-8, no rows, a column or field is missing, or a level or category that HurtLex does not have;
            names file and row.
    """
    found: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    # Three lemmas begin with a quotation mark that belongs to them.
    for number, row in enumerate(read_table(path, ("lemma", "category", "level"), tabs=True)):
        if row["level"] not in LEVELS or row["category"] not in CATEGORIES:
            raise ValueError(
                f"{path}, row {number}: expected a level of {', '.join(LEVELS)} and a category of "
                f"{', '.join(CATEGORIES)}, found {shown(row['level'])} and {shown(row['category'])}"
            )
        if row["level"] == "conservative":
            found[tuple(normalise(row["lemma"] or ""))].add(row["category"])
    return {words: tuple(sorted(categories)) for words, categories in found.items() if words}


def normalise(text: str) -> list[str]:
    """The words of a text: accents off, lower-cased, punctuation marks taken out, so that "don't" is one word."""
    plain = unicodedata.normalize("NFKD", text).lower()
    return "".join(char for char in plain if not (unicodedata.combining(char) or _is_mark(char))).split()


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("P") or (char.isascii() and not char.isalnum() and not char.isspace())
