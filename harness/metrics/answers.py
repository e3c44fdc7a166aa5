"""What a generated answer says: the letter of an option, if it names one as a person would."""

from __future__ import annotations

import re

_FIRST = re.compile(r"\s*[(\[\"'*]*([A-Ca-c])(?:[)\].,:;\"'*]|\s*$|\s*\n)")
_NAMED = re.compile(r"\b(?:answer|option|choice|sentence)\b(?: is)?:? *[(\[\"'*]*([ABC])\b")


def lettered(text: str) -> int | None:
    """The option whose letter a text gives, counted from 0; None if none or more than one.

    It begins with a letter ("B", "(b)", "C. because", not "A man"), or says "answer is B" or "option B".
    """
    first, named = _FIRST.match(text), _NAMED.findall(text)
    if first or len(set(named)) == 1:
        return "ABC".index((first.group(1) if first else named[0]).upper())
    return None


def plain(text: str) -> str:
    """A text in small letters without punctuation marks, one space between words."""
    return " ".join(re.sub(r"[^\w\s]", "", text).lower().split())
