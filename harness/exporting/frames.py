"""A run's numbers and items as tables: `entries` and, for each task, `items_TASK`; a row an entry or a scored item."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.exporting.items import Value, item_columns, items, plain
from harness.exporting.source import Exported, ExportedStage, read_run
from harness.storage.files import atomic_write, atomic_write_bytes
from harness.terminal.printable import printable

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Value]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_BITS = 63


def export(run: Path, folder: Path, kind: Literal["csv", "parquet"]) -> list[Path]:
    """Write all tables of a run into a folder; returns the files.

    Raises:
        FileNotFoundError, ValueError: as `read_run`.
        ModuleNotFoundError: Parquet is asked for and pyarrow is not installed.
    """
    exported = read_run(run)
    written = []
    for name, rows in _tables(exported):
        file = folder / f"{name}.{kind}"
        if kind == "csv":
            atomic_write(file, csv_lines(rows))
        else:
            atomic_write_bytes(file, parquet(rows))
        written.append(file)
    return written


def _tables(exported: Exported) -> Iterator[tuple[str, list[Row]]]:
    entries = [entry for one in exported.stages for entry in one.entries]
    yield "entries", [{name: plain(value) for name, value in entry.model_dump().items()} for entry in entries]
    for task in dict.fromkeys(task for one in exported.stages for task in one.files.tasks):
        rows = [row for one in exported.stages if task in one.files.tasks for row in _item_rows(one, task)]
        if rows:
            yield f"items_{task}", rows


def _item_rows(one: ExportedStage, task: str) -> Iterator[Row]:
    stage = one.stage
    of_stage = {name: getattr(stage, name) for name in ("run", "model", "stage", "step", "method", "control")}
    for item in items(one.files, task):
        place = {**of_stage, "fold": item.fold, "seed": item.seed, "item": item.key}
        # A column of an item that is called like one of these (StereoSet's `task`) would hide which weights it is of.
        yield {**place, **{name if name not in place else f"item_{name}": v for name, v in item_columns(item).items()}}


def csv_lines(rows: Sequence[Row]) -> Iterator[str]:
    """A table as CSV (RFC 4180, LF), header first.

    A text that a spreadsheet would take for a formula gets a `'` before it; what a terminal would act on is spelled
    out, line feeds and tabs stay.
    """
    names = columns_of(rows)
    yield _line([printable(name) for name in names])
    for row in rows:
        yield _line([_cell(row.get(name)) for name in names])


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of all rows, in the order in which they first stand."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if value.startswith(_FORMULA) else printable(value)


def _line(cells: Sequence[Value]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def parquet(rows: Sequence[Row]) -> bytes:
    """A table as Parquet, texts as they are.

    Raises:
        ModuleNotFoundError: pyarrow is not installed; says how to install it.
    """
    try:
        import pyarrow
        import pyarrow.parquet as writer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Parquet needs pyarrow: pip install pyarrow, or export csv") from error
    table = pyarrow.table({name: _column([row.get(name) for row in rows]) for name in columns_of(rows)})
    file = io.BytesIO()
    writer.write_table(table, file)
    return file.getvalue()


def _column(values: Sequence[Value]) -> pyarrow.Array:
    """One type a column: numbers where all are, and text where they are not, or would not fit."""
    import pyarrow

    kinds = {type(value) for value in values if value is not None}
    types: list[tuple[set[Any], Any]] = [
        ({bool}, pyarrow.bool_()),
        ({int}, pyarrow.int64()),
        ({int, float}, pyarrow.float64()),
    ]
    fits = all(value.bit_length() < _MOST_BITS for value in values if isinstance(value, int))
    for fitting, kind in types if kinds and fits else []:
        if kinds <= fitting:
            return pyarrow.array(values, type=kind)
    return pyarrow.array([None if value is None else str(value) for value in values], type=pyarrow.string())
