"""What a method at inference is: settings that give a recipe, and what is made of the model's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict

from harness.storage.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor


class RecipeSettings(BaseModel):
    """Settings of a kind, as a file or an experiment has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def recipe(self) -> Recipe:
        """The recipe that they make."""
        raise NotImplementedError


class Kind(NamedTuple):
    """`settings` checks what a user sets; `answer` gives logits [N, V] from the plain ones and those behind prefixes.

    With `reads_plain` false the text is not read without a prefix, and the plain logits are None.
    """

    settings: type[RecipeSettings]
    answer: Callable[[Tensor | None, Sequence[Tensor], Recipe], Tensor]
    reads_plain: bool
