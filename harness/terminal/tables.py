"""Rows of text as columns that stand below each other, no wider than the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Collection, Sequence
from itertools import zip_longest

from harness.terminal.printable import one_line

NARROWEST = 12


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = (), width: int | None = None) -> str:
    """A table; its first row is the header, and a line goes below it. What a terminal would act on is spelled out.

    Args:
        right: columns of numbers, which are aligned at their right ends.
        width: what the table may take; the widest column is wrapped to fit. By default the terminal's, no limit in a
            file.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    limit = shutil.get_terminal_size((10_000, 24)).columns if width is None else width
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    widest = max(range(len(widths)), key=widths.__getitem__)
    over = sum(widths) + 2 * (len(widths) - 1) - limit
    widths[widest] = max(min(widths[widest], NARROWEST), widths[widest] - max(0, over))
    lines = [_line(row, widths, right) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * one for one in widths), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    """One row, over several lines where a cell does not fit."""
    cells = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)]
    printed = []
    for parts in zip_longest(*cells, fillvalue=""):
        placed = [
            part.rjust(width) if column in right else part.ljust(width)
            for column, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        printed.append("  ".join(placed).rstrip())
    return "\n".join(printed)
