"""Prompting: an instruction stands before every text, P(w | instruction, x) in place of P(w | x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import StringConstraints

from harness.inference.kind import RecipeSettings
from harness.storage.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor

NAME = "prompt"


class PromptSettings(RecipeSettings):
    """`text` is the instruction, with the blank or line that parts it from what follows."""

    text: Annotated[str, StringConstraints(pattern=r"\S")]

    def recipe(self) -> Recipe:
        """The recipe: one pass, a little longer."""
        return Recipe(kind=NAME, prefixes=(self.text,))


def prompted(_: Tensor | None, behind: Sequence[Tensor], __: Recipe) -> Tensor:
    """Logits [N, V] behind the instruction."""
    (logits,) = behind
    return logits
