"""Metrics that are the smallest or largest of several smooth ones, from whose intervals theirs follow."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from harness.metrics.intervals import Bounds, largest, least
from harness.metrics.statistics import Array

Kind: TypeAlias = Literal["least", "largest"]

# There are 2 to the number of runs mixed choices: only these many runs, those nearest to their kink, choose.
_FREE_RUNS = 6

ICAT_OF = {"icat": ("lms", "ss"), "icat_micro": ("lms_micro", "ss_micro")}


class Branches(NamedTuple):
    """Smooth functions [branches, ...] of which a metric is the smallest or the largest.

    `comparisons` counts what was free to be the largest: pairs of groups, not the two signs of one difference.
    """

    kind: Kind
    of: Array
    comparisons: int = 1


def branches(metric: str, values: Mapping[str, Array]) -> Branches | None:
    """The smooth branches of a metric that has a kink, from all metrics of its task; None for a smooth one.

    ICAT is the smaller of LMS x SS / 50 and LMS x (100 - SS) / 50; position bias how far the largest share is above an
    equal one; a gap the largest of the differences between each two groups, in either direction. A gap without such
    differences is one itself (`accuracy_gap`), and smooth.
    """
    if metric in ICAT_OF:
        lms, ss = (values[name] for name in ICAT_OF[metric])
        return Branches("least", np.stack([lms * ss / 50, lms * (100 - ss) / 50]))
    if metric == "position_bias":
        shares = [value for name, value in values.items() if name.startswith("position_share/")]
        return Branches("largest", np.stack(shares) - 100 / len(shares))
    pairs = [value for name, value in values.items() if name.startswith(f"{metric}/")]
    if metric.endswith("_gap") and pairs:
        signed = np.stack([*pairs, *(-pair for pair in pairs)])
        # A group without a text has no score and takes no part.
        defined = signed[~np.isnan(signed[..., 0])]
        return Branches("largest", defined if len(defined) else signed, max(1, len(defined) // 2))
    return None


def foremost_branch(of: Array, kind: Kind) -> Array:
    """The rows of the branch that is the metric, from [branches, rows]."""
    first: Array = of[of[:, 0].argmin() if kind == "least" else of[:, 0].argmax()]
    return first


def common_choices(of_runs: Sequence[Array]) -> Array:
    """The mean over runs for each branch that all of them may take alike, [branches, rows]."""
    return np.stack([np.mean(alike, axis=0) for alike in zip(*of_runs, strict=True)])


def mixed_choices(of_runs: Sequence[Array], kind: Kind) -> Array:
    """The mean over runs for each choice of each run's branch, [choices, rows], from [branches, rows] each.

    A single run keeps all its branches; several keep their two foremost, and all but a few of those nearest to their
    kink the foremost alone.
    """
    if len(of_runs) == 1:
        return of_runs[0]
    sign = 1.0 if kind == "least" else -1.0
    foremost = [found[np.argsort(sign * found[:, 0], kind="stable")[:2]] for found in of_runs]
    nearest = np.argsort([abs(found[-1, 0] - found[0, 0]) for found in foremost], kind="stable")
    free = set(nearest[:_FREE_RUNS].tolist())
    kept = [list(found) if place in free else [found[0]] for place, found in enumerate(foremost)]
    return np.stack([np.mean(chosen, axis=0) for chosen in itertools.product(*kept)])


def bounds_over(kind: Kind, mixed: Bounds, common: Bounds) -> Bounds:
    """Bounds of a mean over runs of a metric with a kink, from those of its choices of branches along the first axis.

    The mean of each run's smallest branch is the smallest over all mixed choices, and so no lower end may be above
    theirs. It is at most each of the common choices, which are few, so that their upper ends are not too low by the
    choice among many. Of a single run both are the same.
    """
    if kind == "least":
        low, high = least(mixed), least(common)
        return Bounds(low.low, high.high, low.above, high.below)
    low, high = largest(common), largest(mixed)
    return Bounds(low.low, high.high, low.above, high.below)
