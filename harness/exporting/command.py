"""`stereoscope export`: a run's numbers and items in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.terminal.printable import printable

app = typer.Typer(no_args_is_help=True)

Run = Annotated[Path, typer.Argument(help="Folder of a run, or of `stereoscope eval` results.", show_default=False)]
Folder = Annotated[
    Path | None, typer.Option("--output-dir", help="Where to write. [default: export/ in RUN]", show_default=False)
]
File = Annotated[Path | None, typer.Option("--output", help="File to write; default: print it.", show_default=False)]


@app.command(name="every-eval-ever")
def every_eval_ever(
    run: Run,
    output_dir: Folder = None,
    organization: Annotated[str, typer.Option(help="Who scored the models, and made what was trained.")] = "not named",
    developer: Annotated[str, typer.Option(help="Who made the base models.")] = "unknown",
) -> None:
    """Records of Every Eval Ever 0.3.0: an aggregate file a stage and task, and its items as JSON lines."""
    from harness.exporting.every_eval_ever import By, export

    _tell(export(run, output_dir or run / "export" / "every_eval_ever", By(organization, developer)))


@app.command(name="csv")
def csv_tables(run: Run, output_dir: Folder = None) -> None:
    """Tables of CSV: every number (entries.csv), and every item that was scored (items_TASK.csv)."""
    from harness.exporting.frames import export

    _tell(export(run, output_dir or run / "export" / "csv", "csv"))


@app.command(name="parquet")
def parquet_tables(run: Run, output_dir: Folder = None) -> None:
    """The same tables as Parquet, for pandas, polars and DuckDB."""
    from harness.exporting.frames import export

    _tell(export(run, output_dir or run / "export" / "parquet", "parquet"))


@app.command(name="latex")
def latex_table(run: Run, output: File = None) -> None:
    """A table for papers, with intervals; needs the LaTeX package booktabs."""
    from harness.exporting.paper import export

    _give(export(run, "latex"), output)


@app.command(name="markdown")
def markdown_table(run: Run, output: File = None) -> None:
    """The same table in Markdown."""
    from harness.exporting.paper import export

    _give(export(run, "markdown"), output)


def _tell(files: list[Path]) -> None:
    for file in files:
        print(printable(file))


def _give(text: str, output: Path | None) -> None:
    from harness.storage.files import atomic_write

    if output is None:
        print(printable(text), end="")
        return
    atomic_write(output, text)
    print(printable(output))
