"""`stereoscope card`: what is typed, as a call of `write_card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.terminal.printable import printable


def card_command(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the weights.", show_default=False)],
    report: Annotated[
        Path | None, typer.Option(help="Run, or folder of results, that scored these weights.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write. [default: README.md in CHECKPOINT]", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a README.md that a user wrote.")] = False,
) -> None:
    """Write a model card: what was trained on what, its scores and verdict, and a draft of results for the hub."""
    from harness.exporting.card import write_card

    for file in write_card(checkpoint, report, output, force):
        if file is not None:
            print(printable(file))
