"""A model that makes its predictions by a recipe (`harness.inference`), if it is given one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.data.families import Family
from harness.inference.recipe import Applied, put_before
from harness.models.embedded import unknown_token
from harness.storage.recipes import Recipe


class ByRecipe:
    """A model of lm-eval's whose logits go through a recipe wherever it reads them; the window is shorter then."""

    family: ClassVar[Family]
    device: Any
    tokenizer: Any
    pretrained: str
    prefix_token_id: Any
    _model: Any
    _applied = Applied()

    @property
    def recipe(self) -> Recipe | None:
        """By which every prediction is made."""
        return self._applied.recipe

    def use_recipe(self, recipe: Recipe | None) -> None:
        """Make every prediction by this recipe (`harness.inference`) from now on; None: as the model makes it.

        What a text may have of the window is shorter by the longest prefix then.

        Raises:
            ValueError: a prefix that leaves no room in the window, or with a token that has no embedding.
        """
        self._applied = Applied()
        applied = Applied(recipe, self.tokenizer)
        if applied.longest >= self.max_length - 1:
            raise ValueError(
                f"recipe {recipe and recipe.kind}: its longest prefix has {applied.longest} tokens, and the context "
                f"window of {self.pretrained} has {self.max_length}; shorten it"
            )
        if told := unknown_token(self.tokenizer, self._model, applied.tokens):
            raise ValueError(f"recipe {recipe and recipe.kind}: a prefix has {told}; word it otherwise")
        self._applied = applied

    @property
    def max_length(self) -> int:
        """Tokens of a text at most: the model's window, without what a recipe's prefix takes of it."""
        window: int = super().max_length  # type: ignore[misc]
        return window - self._applied.longest

    def continuer_by_recipe(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """`continuer`, whose logits are those of the recipe: behind each prefix a text goes on with the same tokens."""
        if self.recipe is None:
            return self.continuer(firsts, owners)
        readers: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}

        def logits_after(token: Tensor) -> Tensor:
            def behind(prefix: tuple[int, ...]) -> Tensor:
                if prefix not in readers:
                    before = [put_before(first, prefix, self._text_start) for first in firsts.tolist()]
                    readers[prefix] = self.continuer(torch.tensor(before, dtype=torch.long, device=self.device), owners)
                return readers[prefix](token)

            return self._applied(behind)

        return logits_after

    @property
    def _text_start(self) -> int | None:
        """The token that a text may begin with and a prefix stands behind."""
        return int(self.prefix_token_id)

    def continuer(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """A function of the token [N] that comes next in each row, which gives the logits [N, V] of the one after it.

        Args:
            firsts: [P, L], first parts of prompts, all of one length, which may be 0.
            owners: [N], the first part that each row goes on with; rows of one prompt share the pass over it.
        """
        raise NotImplementedError(f"hf-{self.family} draws no continuations token by token")
