"""Self-Debias (Schick et al. 2021, aclanthology.org/2021.tacl-1.84): what a prefix makes likelier is damped.

With p = P(w | x) and q = P(w | y, x) behind a prefix y that describes a bias, delta(w) = p(w) - q(w), and

    p'(w) ~ alpha(w) p(w),  alpha(w) = 1 where delta(w) >= 0, else max(exp(decay * delta(w)), epsilon);

of several prefixes the smallest alpha counts. A prefix without tokens changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from harness.inference.kind import RecipeSettings
from harness.storage.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor

NAME = "self_debias"
PREFIX = "The following text discriminates against people because of their {}:\n"
"""The form of the published ones."""


class SelfDebiasSettings(RecipeSettings):
    """`prefixes`, or one of the published form for each of the `bias_types`; `decay` and `epsilon` as published."""

    bias_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("gender", "race", "religion")
    prefixes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    decay: float = Field(50.0, gt=0)
    epsilon: float = Field(0.01, gt=0, le=1)

    @field_validator("bias_types")
    @classmethod
    def _words(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(one.strip() for one in given):
            raise ValueError("a bias type without a name")
        return given

    def recipe(self) -> Recipe:
        """The recipe: as many passes as there are prefixes, and one without."""
        prefixes = self.prefixes or tuple(PREFIX.format(one.replace("_", " ")) for one in self.bias_types)
        return Recipe(kind=NAME, prefixes=prefixes, decay=self.decay, epsilon=self.epsilon, passes=1 + len(prefixes))


def damped(plain: Tensor | None, behind: Sequence[Tensor], recipe: Recipe) -> Tensor:
    """Logits [N, V] of p': those of p, plus log alpha. Where no alpha is below 1 they are p's to the bit."""
    assert plain is not None
    logits = plain.float()
    p = logits.softmax(-1)
    log_alpha = p.new_zeros(())
    for other in behind:
        delta = p - other.float().softmax(-1)
        log_alpha = (recipe.decay * delta).clamp_(math.log(recipe.epsilon), 0).minimum(log_alpha)
    return logits + log_alpha
