"""`stereoscope project`: what is typed, as a call of `project`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.terminal.printable import printable


def project_command(
    kind: Annotated[str, typer.Argument(help="sentence_debias, inlp or leace.", show_default=False)],
    model: Annotated[str, typer.Option(help="Model folder or hub id.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder to write the new model into.", show_default=False)],
    bias_type: Annotated[
        list[str], typer.Option(help="gender, race or religion, or a name in --words; can be given several times.")
    ] = ["gender"],  # noqa: B006 - typer copies it
    text: Annotated[
        Path | None, typer.Option(help="Plain text to learn from; default: WikiText-2 validation.", show_default=False)
    ] = None,
    words: Annotated[
        Path | None, typer.Option(help="Your own list of words, in YAML; default: the project's.", show_default=False)
    ] = None,
    components: Annotated[int, typer.Option(min=1, help="Directions that sentence_debias takes off.")] = 1,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Rounds of inlp; default: 80 for masked models, else 10.", show_default=False),
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences of each group to read, at most.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Decides which sentences are drawn where there are more.")] = 0,
) -> None:
    """Take a group out of a model's last hidden state by a projection, written into the weights; nothing is trained."""
    from harness.mitigation.project import project
    from harness.storage.projections import Settings

    settings = Settings(components=components, rounds=rounds, sentences=sentences, seed=seed)
    project(model, kind, output, texts=text, words=words, bias_types=tuple(bias_type), settings=settings)
    for file in sorted(output.iterdir()):
        print(printable(file))
