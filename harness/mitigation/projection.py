"""What every projection is: an affine map of the last hidden state, the examples it is made from, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class Projection(NamedTuple):
    """h -> `matrix` h + `shift`; [D, D] and [D], in float64."""

    matrix: Tensor
    shift: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Of each row of [..., D], in the type of the features."""
        mapped = features.double() @ self.matrix.T + self.shift
        return mapped.to(features.dtype)

    def after(self, first: Projection) -> Projection:
        """`first`, then this one, as one."""
        return Projection(self.matrix @ first.matrix, self.matrix @ first.shift + self.shift)

    @property
    def removed(self) -> int:
        """How many dimensions are gone."""
        return len(self.matrix) - int(torch.linalg.matrix_rank(self.matrix, rtol=1e-9))


class Examples(NamedTuple):
    """Features of sentences that differ in their group alone, and of sentences without any.

    `versions` [N, G, D]: in row n, column g, sentence n with words of group g; `neutral` [M, D].
    """

    versions: Tensor
    neutral: Tensor

    def mapped(self, projection: Projection) -> Examples:
        """The same examples after a projection."""
        return Examples(projection(self.versions), projection(self.neutral))


class Settings(BaseModel):
    """Of all kinds together; each says which it reads.

    `components` of SentenceDebias; `rounds` of INLP, None for the literature's 80 of masked models and 10 of others;
    `sentences` of each group and without any, at most; `seed` of their draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    components: int = Field(1, ge=1)
    rounds: int | None = Field(None, ge=1)
    sentences: int = Field(10_000, ge=1)
    seed: int = 0


Fit: TypeAlias = Callable[[Examples, Settings, bool], Projection]
"""From examples, settings, and whether a shift can be written into the model, to a projection."""


def without(directions: Tensor) -> Projection:
    """The orthogonal projection onto what is left of the space without the span of rows [K, D].

    Raises:
        ValueError: nothing would be left.
    """
    width = directions.shape[1]
    _, sizes, basis = torch.linalg.svd(directions.double(), full_matrices=False)
    basis = basis[sizes > 1e-9 * sizes.max()] if len(sizes) and sizes.max() > 0 else basis[:0]
    if len(basis) >= width:
        raise ValueError(f"the projection would take all {width} dimensions of the hidden state; take off fewer")
    identity = torch.eye(width, dtype=torch.float64)
    return Projection(identity - basis.T @ basis, torch.zeros(width, dtype=torch.float64))
