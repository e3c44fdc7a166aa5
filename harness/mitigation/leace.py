"""LEACE (Belrose et al. 2023, arXiv 2306.03819): the smallest change after which no linear predictor finds the group.

X are features, Z the group as one-hot, mu = E[X], S = Cov(X), C = Cov(X, Z), W = S^(-1/2) (pseudo-inverse), and Q the
orthogonal projection onto the columns of W C:

    h <- h - W^+ Q W (h - mu)

Then Cov(h, Z) = 0, so that the best linear prediction of the group from h is a constant, and E|change|^2 is as small as
it can be among affine maps (their theorem 4.3).

Where no shift can be written into a model, its vocabulary head having no bias, the map is linear, h <- (I - W^+ Q W) h.
It erases as much, and its change is the smallest among linear maps if S is E[X X^T] in place of the covariance (their
theorem 4.2): minimising E|(P - I) X|^2 under P C = 0 gives P = I - C (C^T S^-1 C)^+ C^T S^-1, which is the same.

Dropping the shift of the affine map instead would add a constant vector to all logits, at every position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.mitigation.projection import Examples, Projection
from harness.storage.projections import Settings

NEGLIGIBLE = 1e-10
"""An eigenvalue below this share of the largest is none: features in float32 have no more digits."""


def leace(examples: Examples, settings: Settings, takes_shift: bool = True) -> Projection:
    """The projection; `settings` make no difference."""
    sentences, groups, width = examples.versions.shape
    features = examples.versions.reshape(-1, width).double()
    labels = torch.eye(groups, dtype=torch.float64).repeat(sentences, 1)
    mean = features.mean(0)
    centred = features - mean
    covariance = centred.T @ (labels - labels.mean(0)) / len(features)
    measured = centred if takes_shift else features
    whitening, unwhitening = _roots(measured.T @ measured / len(features))
    columns, sizes, _ = torch.linalg.svd(whitening @ covariance, full_matrices=False)
    # One-hot labels sum to 1, so that the last size is 0.
    columns = columns[:, sizes > 1e-9 * sizes.max()]
    taken = unwhitening @ columns @ (columns.T @ whitening)
    identity = torch.eye(width, dtype=torch.float64)
    return Projection(identity - taken, taken @ mean if takes_shift else torch.zeros_like(mean))


def _roots(moments: Tensor) -> tuple[Tensor, Tensor]:
    """S^(-1/2) and S^(1/2), of the part of the space in which S is not 0."""
    values, vectors = torch.linalg.eigh(moments)
    kept = values > NEGLIGIBLE * values.max()
    values, vectors = values[kept].sqrt(), vectors[:, kept]
    return vectors / values @ vectors.T, vectors * values @ vectors.T
