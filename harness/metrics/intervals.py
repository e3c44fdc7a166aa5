"""Intervals and p values from one procedure: the cluster jackknife with a t quantile, and the spread between runs.

A statistic comes as rows: its value, its value with each cluster left out, and the same for each training run or fold,
see `Design`. Whatever is a function of metrics, element by element (a change, a ratio, a sum), is a statistic too. Its
variance is the delete-one-cluster jackknife's (Efron and Stein 1981; CV3 in MacKinnon, Nielsen and Webb 2023), with
fewer degrees of freedom the less equal the clusters are. Training adds what runs lie apart beyond the noise of their
items (two-way clustering, Cameron, Gelbach and Miller 2011), with Satterthwaite's (1946) degrees of freedom for the
sum. `docs/verdict.md` has the measurements that chose it over percentile, BCa, studentised and wild bootstraps.

A metric with a kink (ICAT is the smaller of two smooth functions of LMS and SS, a distance from 50 the larger) is no
smooth function, so its interval follows from those of its smooth branches, see `least` and `largest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from harness.metrics.statistics import Array

LEVEL = 0.95
SIGNIFICANT = 0.05
# Where all clusters say exactly the same, the sign test over them is all that is left: below 5% from here on.
CLUSTERS_THAT_AGREE = 6
# In the metric's unit, or relative to a larger value: what differs by less differs by rounding.
_ROUNDING = 1e-10

Scale: TypeAlias = Literal["linear", "log", "logit", "signed"]
"""Where a value's interval is symmetric: "log" above 0, "logit" for percentages, "signed" from -100 to 100."""


class Units(NamedTuple):
    """A group of training runs, or of the folds that they belong to, and the rows that a statistic has for them.

    Runs that scored the same items have 1 + clusters rows each, as the whole has; `weights` sum to 1 and say what each
    counts for in the mean. Folds that scored items of their own (held-out pairs) are `left_out` and have one row each:
    the value without the fold's items.
    """

    weights: Array
    left_out: bool

    def rows(self, clusters: int) -> int:
        """How many rows the group takes."""
        return len(self.weights) * (1 if self.left_out else 1 + clusters)


@dataclass(frozen=True)
class Design:
    """How a statistic's rows, [..., 1 + clusters + those of the units], are to be read."""

    sizes: Array
    units: tuple[Units, ...] = ()

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return len(self.sizes)


class Spread(NamedTuple):
    """A value, its standard error and its degrees of freedom; `error` nan where the statistic has none."""

    value: Array
    error: Array
    df: Array


class Bounds(NamedTuple):
    """The two ends of a 95% interval, and one-sided p values that the statistic is above and below 0.

    The interval lies above 0 exactly where `above` is less than 0.025, and below 0 where `below` is.
    """

    low: Array
    high: Array
    above: Array
    below: Array

    @property
    def p_value(self) -> Array:
        """Two-sided, for the statistic being 0: below 0.05 exactly where the interval excludes 0."""
        smaller: Array = np.minimum(self.above, self.below)
        return np.minimum(1.0, 2 * smaller)

    def __neg__(self) -> Bounds:
        return Bounds(-self.high, -self.low, self.below, self.above)


def spread(rows: Array, design: Design) -> Spread:
    """Value, standard error and degrees of freedom of a statistic, over items and, where it has units, training."""
    clusters = design.clusters
    value, rest = rows[..., 0], rows[..., 1 + clusters :]
    squares = (rows[..., 1 : 1 + clusters] - value[..., None]) ** 2
    items = (clusters - 1) / clusters * squares.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Satterthwaite: as if the clusters' variances went with their sizes, and as the squares themselves tell,
        # whose expected square is three times that of the variance.
        told = 3 * squares.sum(axis=-1) ** 2 / (squares**2).sum(axis=-1) - 1
    df = np.fmax(1.0, np.fmin(design.sizes.sum() ** 2 / (design.sizes**2).sum() - 1, told))
    training, training_df = np.zeros_like(items), np.ones_like(items)
    for units in design.units:
        own, rest = np.split(rest, [units.rows(clusters)], axis=-1)
        if units.left_out:
            found, found_df = _between_folds(value, own, items)
        else:
            found, found_df = _between_runs(rows[..., : 1 + clusters], own, units.weights)
        training, training_df = np.fmax(training, found), np.where(found > training, found_df, training_df)
    total = items + training
    with np.errstate(invalid="ignore", divide="ignore"):
        both = total**2 / (items**2 / df + training**2 / training_df)
    error, rounding = np.sqrt(total), _ROUNDING * np.fmax(1.0, np.abs(value))
    value = np.where(np.abs(value) <= _ROUNDING, 0.0, value)
    return Spread(value, np.where(error <= rounding, 0.0, error), np.where(training > 0, both, df))


def _between_runs(whole: Array, own: Array, weights: Array) -> tuple[Array, Array]:
    """The variance that training adds to a mean over runs of the same items, beyond the items' part in their spread."""
    count, clusters = len(weights), whole.shape[-1] - 1
    apart = own.reshape(*own.shape[:-1], count, 1 + clusters) - whole[..., None, :]
    moved = ((apart[..., 1:] - apart[..., :1]) ** 2).sum(axis=-1) * (clusters - 1) / clusters
    variance = (weights**2 * (apart[..., 0] ** 2 - moved)).sum(axis=-1) * count / (count - 1)
    return np.fmax(variance, 0.0), np.full(variance.shape, count - 1.0)


def _between_folds(value: Array, without: Array, items: Array) -> tuple[Array, Array]:
    """The same where each fold scored other items: what folds vary as clusters beyond what their items explain."""
    defined = ~np.isnan(without)
    count = np.fmax(defined.sum(axis=-1), 2)
    squares = np.where(defined, (without - value[..., None]) ** 2, 0.0).sum(axis=-1)
    return np.fmax((count - 1) / count * squares - items, 0.0), count - 1.0


def bounds(rows: Array, design: Design, *, scale: Scale = "linear", comparisons: int = 1) -> Bounds:
    """Interval and one-sided p values of a smooth statistic, [...] each; nan where it has none.

    Where all clusters agree to the last digit there is no spread to judge by. Then the sign test decides: with six
    clusters or more the interval is the value itself, with fewer there is none; of a percentage that is 0 or 100 in
    every cluster it is what so many clusters can tell.

    Args:
        rows: see `Design`.
        design: how to read them.
        scale: where the interval is symmetric; values that the scale does not hold stay linear.
        comparisons: statistics of which the largest is looked at, for a lower end that allows for the choice.
    """
    from scipy.special import stdtr, stdtrit

    value, error, df = spread(rows, design)
    agree = error == 0
    tail = SIGNIFICANT / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        t = value / error
        above, below = stdtr(df, -t), stdtr(df, t)
        low = _moved(value, stdtrit(df, tail / comparisons) * error, scale)
        high = _moved(value, stdtrit(df, 1 - tail) * error, scale)
    sign = np.where(value == 0, 0.5, 0.5**design.clusters)
    above = np.where(agree, np.where(value < 0, 1 - sign, sign), above)
    below = np.where(agree, np.where(value > 0, 1 - sign, sign), below)
    known = design.clusters >= CLUSTERS_THAT_AGREE
    low, high = (np.where(agree, value if known else np.nan, end) for end in (low, high))
    if scale == "logit":
        most = 100 * (1 - tail ** (1 / design.clusters))
        high = np.where(agree & (value == 0), most, high)
        low = np.where(agree & (value == 100), 100 - most, low)
        low, high = np.where(agree & (value == 0), 0.0, low), np.where(agree & (value == 100), 100.0, high)
    return Bounds(low, high, above, below)


def least(branches: Bounds, axis: int = 0) -> Bounds:
    """Bounds of the smallest of several statistics, from those of each.

    Its ends are the smallest of theirs. Where one branch is clearly the smallest that is its interval, and where two
    tie the ends miss as often as one interval does, whatever their correlation.
    """
    low, high, above, below = branches
    return Bounds(low.min(axis), high.min(axis), above.max(axis), below.min(axis))


def largest(branches: Bounds, axis: int = 0) -> Bounds:
    """The same of the largest."""
    low, high, above, below = branches
    return Bounds(low.max(axis), high.max(axis), above.min(axis), below.max(axis))


def stacked(branches: Sequence[Bounds]) -> Bounds:
    """Bounds of several statistics as those of one along a new first axis."""
    return Bounds(*(np.stack(ends) for ends in zip(*branches, strict=True)))


def distance_change(after: Array, before: Array, ideal: float, design: Design) -> Bounds:
    """Bounds of |after - ideal| - |before - ideal|, from the rows of both.

    With X = after - before and Y = after + before - 2 ideal, both smooth, it is the product of their signs times the
    smaller of their sizes, min(max(X, -Y), max(Y, -X)): its p value is the larger of the p values of X and Y. Neither
    is folded at the ideal, so nothing is biased there.
    """
    x = bounds(after - before, design)
    y = bounds(after + before - 2 * ideal, design)
    found = least(stacked([largest(stacked([x, -y])), largest(stacked([y, -x]))]))
    # It is never larger than X or Y: where the two models agree, no side of the ideal makes a difference.
    most = np.fmin(np.fmax(np.abs(x.low), np.abs(x.high)), np.fmax(np.abs(y.low), np.abs(y.high)))
    return found._replace(low=np.fmax(found.low, -most), high=np.fmin(found.high, most))


def _moved(value: Array, reach: Array, scale: Scale) -> Array:
    """The value moved by `reach` on its scale, to first order."""
    if scale == "signed":
        return 2 * _moved((value + 100) / 2, reach / 2, "logit") - 100
    moved = value + reach
    if scale == "log":
        moved = np.where(value > 0, value * np.exp(reach / value), moved)
    if scale == "logit":
        held = (value > 0) & (value < 100)
        odds = value / (100 - value) * np.exp(reach * 100 / (value * (100 - value)))
        moved = np.where(held, np.where(np.isinf(odds), 100.0, 100 * odds / (1 + odds)), moved)
    return moved
