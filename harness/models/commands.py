"""`stereoscope model`: real models as plain transformers folders, without a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.models.from_gguf import write_gguf
from harness.models.smollm2 import NAME, write_smollm2
from harness.terminal.nearest import did_you_mean

Folder = Annotated[Path, typer.Argument(help="Folder to write the model into.", show_default=False)]


class _Models(TyperGroup):
    """Says which models there are where an unknown one is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer's, with the known names in the error."""
        if args and args[0] not in self.commands:
            known = list(self.commands)
            ctx.fail(f"no model {args[0]!r}; there are {' and '.join(known)}{did_you_mean(args[0], known)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Models, no_args_is_help=True)


@app.command(name="from-gguf")
def from_gguf(
    file: Annotated[Path, typer.Argument(help="Model in llama.cpp's format.", show_default=False, metavar="FILE.gguf")],
    folder: Folder,
) -> None:
    """Write a GGUF file's model in float32; its logits are compared before and after."""
    write_gguf(file, folder)


@app.command(name=NAME)
def smollm2(folder: Folder) -> None:
    """Write SmolLM2-135M-Instruct, a small real model that installs from PyPI."""
    write_smollm2(folder)
