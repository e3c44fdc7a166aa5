"""A recipe: what changes how a model is asked and none of its weights; kept with the scores that came of it."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """Texts that the model reads before the one it is asked for, and what is made of its answers behind them.

    `kind` is one of `harness.inference.kinds`; its file says what the settings mean. `passes` through the model are
    needed for one answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    prefixes: tuple[str, ...] = Field(min_length=1)
    decay: float = Field(50.0, gt=0)
    epsilon: float = Field(0.01, gt=0, le=1)
    passes: int = Field(1, ge=1)

    @property
    def sha256(self) -> str:
        """Digest of all that decides its effect."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def weights_by(recipe: Recipe | None, weights_sha256: str) -> str:
    """What tells these weights, asked by this recipe, from the weights alone and from other recipes: a digest."""
    if recipe is None:
        return weights_sha256
    return hashlib.sha256(f"{weights_sha256} {recipe.sha256}".encode()).hexdigest()
