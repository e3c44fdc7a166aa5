"""Rows of a CSV or TSV file by the names of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from harness.storage.reading import shown
from harness.storage.text import line_of, read_text

Row = Mapping[str | None, str | None]
"""Fields by column; None is what a row lacks, and the key of what it has too many."""


class _Commas(csv.excel):
    """As spreadsheets write it: a field with a comma or a line break stands in quotation marks.

    A mark that is never closed would take the rest of the file for one field.
    """

    strict = True


class _Tabs(csv.excel_tab):
    """As the published files have it: quotation marks are letters like any other."""

    quoting = csv.QUOTE_NONE


def read_table(path: Path, columns: Collection[str], *, tabs: bool = False) -> list[Row]:
    """The rows below the header, byte for byte.

    Args:
        columns: those that have to be there.
        tabs: whether tabs part the fields; commas otherwise.

    Raises:
        ValueError: not UTF-8, no such table, no row in it, or a column is missing; names the file.
    """
    dialect = _Tabs if tabs else _Commas
    text = read_text(path, partial(_row_of, dialect=dialect))
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    try:
        if missing := sorted(set(columns) - set(reader.fieldnames or ())):
            found = shown(reader.fieldnames) if reader.fieldnames else "an empty file"
            raise ValueError(f"{path}: missing columns {missing}, found {found}")
        rows: list[Row] = list(reader)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not {'TSV' if tabs else 'CSV'} ({error})") from error
    if not rows:
        raise ValueError(f"{path}: no rows below its header; expected one at least")
    return rows


def _row_of(before: str, dialect: type[csv.Dialect]) -> str:
    try:
        row = sum(1 for _ in csv.reader(io.StringIO(before + "x", newline=""), dialect=dialect)) - 2
    except csv.Error:
        return line_of(before)
    return "header" if row < 0 else f"row {row} ({line_of(before)})"
