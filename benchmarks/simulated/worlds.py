"""Scores of a base model and of training runs, drawn by the thousand: per cluster, with a known truth.

Every item has a latent score, normal with variance 1: 0.05 of it is the cluster's own, 0.85 the item's, and 0.10 noise
that the base and each run draw anew, a share of it common to the cluster. An item counts as won where the latent is
above 0, so that base and run differ in about 14% of the items without any effect, and the interval of a change of
StereoSet's score is as wide as that of a real run where items are independent: 1.6 points to either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from harness.metrics.statistics import Array

# StereoSet, intrasentence: items of each target term; gender, profession, race, religion.
GENDER = (30, 28, 27, 27, 26, 26, 25, 23, 22, 21)
PROFESSION = (32, 31, 30, 30, 29, 29, 29, *[28] * 5, *[27] * 7, 26, 26, 26, 25, 25, *[24] * 5, 23)
RACE = (31, 31, 30, 30, 30, 29, 29, 29, *[28] * 6, 27, 27, 27, *[26] * 9, *[25] * 5, 24, 24, 23, 22, 22)
RELIGION = (29, 25, 25)
TERMS = GENDER + PROFESSION + RACE + RELIGION
# CrowS-Pairs: pairs of each writer.
WRITERS = (
    *(130, 105, 101, 90, 88, 78, 73, 68, 55, 54, 45, 43, 35, 31, 27, 27, 27, 25, 24, 23, 23, 23, 22, 21, 20, 20, 19),
    *(18, 16, 14, 13, 11, 10, 9, 9, 9, 8, 8, 6, 6, 6, 6, 4, 4, *[3] * 8, *[2] * 5, *[1] * 20),
)
# WikiText-2's test set: words of its first twelve documents.
DOCUMENTS = (1091, 4749, 2432, 7102, 2023, 2423, 10257, 2248, 10760, 1743, 2964, 7571)

_CLUSTER, _ITEM, _NOISE = 0.05, 0.85, 0.10
# Pairs differ in how much is at stake: the spread of log |d| beyond that of the latent.
_STAKES = 0.4
# The same of what a document loses.
_SKEW = 0.5
NATS = 5.0


class World(NamedTuple):
    """What happens: percent won before and after, the share of noise common to a cluster, and what training adds.

    `training` is the standard deviation over runs of their score, in points; `left` what the latent's size, and so |d|,
    is multiplied by.
    """

    before: float
    after: float
    shared: float = 0.0
    training: float = 0.0
    left: float = 1.0


class Drawn(NamedTuple):
    """Sums over each cluster's items, [experiments, clusters], of the base and of each run: 100 a win, and |d|."""

    before: Array
    after: list[Array]
    distance_before: Array
    distance_after: list[Array]


def folds_of(sizes: Sequence[int], folds: int) -> list[int]:
    """The fold of each cluster as cross-fitting makes them: the largest first, each into the smallest fold."""
    held = [0] * folds
    found = [0] * len(sizes)
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        found[place] = min(range(folds), key=lambda fold: held[fold])
        held[found[place]] += sizes[place]
    return found


def draw(
    world: World,
    sizes: Sequence[int],
    runs: int,
    experiments: int,
    random: np.random.Generator,
    run_of: Sequence[int] | None = None,
) -> Drawn:
    """Experiments with `runs` runs on the same items.

    With `run_of`, the run that each cluster belongs to, there is one pooled set instead, in which every cluster has the
    training effect of its own run.
    """
    size, starts = np.array(sizes), np.concatenate([[0], np.cumsum(sizes)[:-1]])
    items = int(size.sum())

    def cluster() -> Array:
        return np.repeat(random.normal(size=(experiments, len(size))), size, axis=1)

    def noise() -> Array:
        fresh = np.sqrt(1 - world.shared) * random.normal(size=(experiments, items))
        return np.sqrt(_NOISE) * (fresh + (np.sqrt(world.shared) * cluster() if world.shared else 0))

    fixed = np.sqrt(_CLUSTER) * cluster() + np.sqrt(_ITEM) * random.normal(size=(experiments, items))
    stakes = np.exp(_STAKES * random.normal(size=(experiments, items)))
    point = 0.01 / norm.pdf(norm.ppf(world.after / 100))

    def sums(latent: Array, left: float) -> tuple[Array, Array]:
        won = np.add.reduceat(100.0 * (latent > 0), starts, axis=1)
        return won, np.add.reduceat(NATS * left * stakes * np.abs(latent), starts, axis=1)

    before = sums(fixed + noise() + norm.ppf(world.before / 100), 1.0)
    after = []
    effects = world.training * point * random.normal(size=(runs, experiments))
    for run in range(1 if run_of is not None else runs):
        effect = effects[run][:, None]
        if run_of is not None:
            effect = np.repeat(effects[list(run_of)].T, size, axis=1)
        after.append(sums(fixed + noise() + norm.ppf(world.after / 100) + effect, world.left))
    return Drawn(before[0], [won for won, _ in after], before[1], [distance for _, distance in after])


def mean_distance(score: float, left: float = 1.0) -> float:
    """The true mean |d| in nats of a world's side whose percent won is `score`."""
    mean = float(norm.ppf(score / 100))
    folded = np.sqrt(2 / np.pi) * np.exp(-(mean**2) / 2) + mean * (2 * norm.cdf(mean) - 1)
    return float(NATS * left * np.exp(_STAKES**2 / 2) * folded)


def perplexities(experiments: int, random: np.random.Generator) -> tuple[Array, Array, float]:
    """Losses (nats) of twelve documents before and after [experiments, documents], and the true ratio of perplexities.

    What a document loses is skewed, a few losing much, and longer documents are no different from short ones.
    """
    words = np.array(DOCUMENTS)
    before = 3.4 + 0.25 * random.normal(size=(experiments, len(words)))
    lost = 0.05 * np.exp(_SKEW * random.normal(size=before.shape))
    return before * words, (before + lost) * words, float(np.exp(0.05 * np.exp(_SKEW**2 / 2)))
