"""Text of others on a terminal: what would move the cursor, recolour or turn the line around is spelled out."""

from __future__ import annotations

import re

# Controls but line feed and tab (C0, DEL, C1), marks and overrides of writing direction, separators that end a line for
# some readers and not for others, halves of characters, and tags that nobody sees.
_ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)


def printable(text: object) -> str:
    """The text with every character that a terminal would act on as its escape, `\\x1b` or `\\u202e`.

    Letters of all scripts, line feeds and tabs stay as they are.
    """
    return _ACTS.sub(_spelled, str(text))


def one_line(text: object) -> str:
    """`printable`, with line feeds and tabs spelled out too: for a cell, a name, a line of a list."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def is_inert(text: str) -> bool:
    """Whether a terminal prints the text as it stands, on one line."""
    return one_line(text) == text


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
