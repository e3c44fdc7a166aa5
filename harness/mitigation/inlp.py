"""INLP (Ravfogel et al. 2020, aclanthology.org/2020.acl-main.647): what linear classifiers find is gone, in rounds.

In each round linear SVMs without intercept learn to tell the classes apart by what is left, and the directions that
they use go too. With B_i an orthonormal basis of the rows of round i's weights, R the projection onto the span of
B_1..B_r,

    P = I - R,    h <- P h

the projection onto the intersection of the null spaces. It is linear: no shift. Classes as in Meade et al. 2022: of two
groups (gender) each group, and sentences without any listed word; of more, sentences with a listed word or without.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.mitigation.projection import Examples, Projection, without
from harness.storage.projections import Settings

ROUNDS = 10
"""Where the settings name none; `project` sets 80 for masked models."""


def inlp(examples: Examples, settings: Settings, takes_shift: bool = False) -> Projection:
    """The projection; `takes_shift` makes no difference.

    Raises:
        ValueError: no sentences without a listed word, or rounds that would take off all dimensions.
    """
    features, classes = _classified(examples)
    width = features.shape[1]
    rounds = settings.rounds or ROUNDS
    found = torch.zeros(0, width, dtype=torch.float64)
    for number in range(1, rounds + 1):
        left = without(found) if len(found) else None
        weights = _weights(features if left is None else left.of(features), classes)
        found = torch.cat([found, weights if left is None else left.of(weights)])
        if int(torch.linalg.matrix_rank(found)) >= width:
            raise ValueError(
                f"rounds={rounds}: after {number} of them INLP has taken off all {width} dimensions of the hidden "
                "state; take fewer rounds"
            )
    return without(found)


def _classified(examples: Examples) -> tuple[Tensor, Tensor]:
    """[N G + M, D] features and their classes."""
    sentences, groups, width = examples.versions.shape
    if not len(examples.neutral):
        raise ValueError("INLP needs sentences without a listed word too, and there are none; give it other text")
    of_groups = torch.arange(groups).repeat(sentences) if groups == 2 else torch.zeros(sentences * groups)
    without_any = torch.full((len(examples.neutral),), groups if groups == 2 else 1)
    features = torch.cat([examples.versions.reshape(-1, width), examples.neutral]).double()
    return features, torch.cat([of_groups, without_any]).long()


def _weights(features: Tensor, classes: Tensor) -> Tensor:
    """[rows, D], each of length 1: of one SVM for two classes, of one a class for three."""
    from sklearn.svm import LinearSVC

    # Models differ in how long their hidden states are, and the SVM's penalty with them.
    scale = features.norm(dim=1).mean()
    machine = LinearSVC(fit_intercept=False, dual=False, random_state=0, max_iter=5000)
    machine.fit((features / scale).numpy(), classes.numpy())
    weights = torch.from_numpy(machine.coef_).double()
    return torch.nn.functional.normalize(weights, dim=1)
