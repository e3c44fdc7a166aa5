"""What somebody may put into a name, a file or a text to act on whoever reads it later."""

from __future__ import annotations

ESCAPES = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J"
BIDI = "\u202egpj.exe\u2066"
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
MARKDOWN = "| a | b |\n\n# head [x](https://evil.example) ![i](https://evil.example/i) `code` www.evil.example"
FORMULA = "=HYPERLINK(1)"
HOSTILE = f"{FORMULA}{ESCAPES}{BIDI}{HTML}{MARKDOWN}\r\n\t\0"

ACTS = tuple("\x1b\x07\x9b\x00\r\u202e\u2066\u2028\u200e")
"""Characters that a terminal, or whoever lays out text, acts on."""


def acting(text: str) -> list[str]:
    """Those of them that a text has."""
    return [repr(char) for char in ACTS if char in text]
