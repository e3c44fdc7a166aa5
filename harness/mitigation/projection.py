"""What every projection is: an affine map of the last hidden state, and the examples that it is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from harness.storage.projections import Settings


class Projection(NamedTuple):
    """h -> `matrix` h + `shift`; [D, D] and [D], in float64."""

    matrix: Tensor
    shift: Tensor

    def of(self, features: Tensor) -> Tensor:
        """Of each row of [..., D], in the type of the features."""
        matrix, shift = self.matrix.to(features.device), self.shift.to(features.device)
        mapped = features.double() @ matrix.T + shift
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
        """The same examples after a projection, in float64: what is rounded would be found again by the next fit."""
        return Examples(projection.of(self.versions.double()), projection.of(self.neutral.double()))


Fit: TypeAlias = Callable[[Examples, Settings, bool], Projection]
"""From examples, settings, and whether a shift can be written into the model, to a projection."""


class Kind(NamedTuple):
    """A way to make a projection, and whether it needs sentences without a listed word too."""

    fit: Fit
    needs_neutral: bool = False


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
