"""HTML that cannot be broken by what is written into it: plain text is escaped, only `Html` is taken as it is.

Control characters and marks that turn the direction of writing around are spelled out too.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from harness.terminal.printable import printable


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """One element. Children that are no `Html` and all attribute values are escaped; `class_` gives `class`."""
    told = "".join(f' {name.rstrip("_")}="{html.escape(printable(value))}"' for name, value in attributes.items())
    return Html(f"<{tag}{told}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Html:
    """Children one after the other, those that are no `Html` escaped."""
    return Html("".join(child if isinstance(child, Html) else html.escape(printable(child)) for child in children))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: Iterable[int] = (0,)) -> Html:
    """A table; columns are numbers, set flush right, unless listed as text."""
    text = set(text_columns)

    def line(tag: str, cells: Sequence[str]) -> Html:
        return element(
            "tr",
            *(element(tag, cell, class_="text" if place in text else "number") for place, cell in enumerate(cells)),
        )

    head, body = element("thead", line("th", header)), element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", head, body), class_="scroll")


def bullets(items: Iterable[str]) -> Html:
    """An unordered list."""
    return element("ul", *(element("li", item) for item in items))
