"""Which of a model's methods come nearer to the ideal than others: every two of them compared, and shared ranks.

A method has a rank on a measure if it left the model able (as the leaderboard has it) and was not trained on the
measure's items. Two are told apart if their paired difference is, after Holm's correction over every two methods and
every measure, so that the chance of any false order for one model is 5%.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.metrics.intervals import SIGNIFICANT
from harness.metrics.shared_ranks import shared_ranks
from harness.metrics.statistics import holm
from harness.reporting.compared_schema import MethodDifference
from harness.reporting.entries import rounded, rounded_p
from harness.reporting.pairing import Apart, apart
from harness.reporting.scores import TaskScores


@dataclass(frozen=True)
class Contender:
    """A method that is ranked on one measure: the change of its distance from the ideal, and its records."""

    method: str
    change: float
    scores: TaskScores


@dataclass(frozen=True)
class Ranking:
    """The ranks of each method on each measure, and the differences that they follow from."""

    ranks: Mapping[tuple[str, str], tuple[int, ...]]
    differences: Sequence[MethodDifference]


def ranking(contenders: Mapping[str, Sequence[Contender]]) -> Ranking:
    """Rank the methods on every measure.

    Args:
        contenders: metric -> the methods that are ranked on it, in the order that they are told in.

    Returns:
        Ranks by metric and method.
    """
    found = {
        (metric, one.method, other.method): _apart(metric, one, other)
        for metric, methods in contenders.items()
        for one, other in itertools.combinations(methods, 2)
    }
    corrected = holm({_key(pair): _p(difference) for pair, difference in found.items()})
    differences = [_difference(pair, difference, corrected[_key(pair)]) for pair, difference in found.items()]
    ranks: dict[tuple[str, str], tuple[int, ...]] = {}
    for metric, methods in contenders.items():
        told_apart = {frozenset((one.one, one.other)) for one in differences if one.metric == metric and is_shown(one)}
        ordered = [one.method for one in sorted(methods, key=lambda one: one.change)]
        ranks |= {(metric, method): its for method, its in shared_ranks(ordered, told_apart).items()}
    return Ranking(ranks, differences)


def is_shown(one: MethodDifference) -> bool:
    """Whether the two methods are told apart."""
    return bool(one.difference) and one.p_holm < SIGNIFICANT


def _apart(metric: str, one: Contender, other: Contender) -> Apart | None:
    return apart(one.scores, other.scores, (metric,)).get(metric)


def _p(found: Apart | None) -> float:
    """A pair without a p value was still looked at: it counts as one that shows nothing."""
    return 1.0 if found is None or found.estimate.p_value is None else found.estimate.p_value


def _key(pair: tuple[str, str, str]) -> str:
    return "\n".join(pair)


def _difference(pair: tuple[str, str, str], found: Apart | None, p_holm: float) -> MethodDifference:
    metric, one, other = pair
    estimate = None if found is None else found.estimate
    known = estimate is not None and estimate.low is not None
    return MethodDifference(
        metric=metric,
        one=one,
        other=other,
        n=None if found is None else found.n,
        difference=None if estimate is None else rounded(estimate.value),
        low=None if estimate is None else rounded(estimate.low),
        high=None if estimate is None else rounded(estimate.high),
        p_value=None if estimate is None else rounded_p(estimate.p_value),
        p_holm=rounded_p(p_holm) or 0.0,
        covers=None if found is None or not known else "items and training" if found.trained else "items",
    )
