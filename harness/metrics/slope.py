"""Whether something goes with size: a least squares line over models, whose points are measured with error themselves.

Each model counts alike. All are scored on the same items, so that their intervals are about as wide and weights would
gain little; and what makes models of one size differ, which no interval of theirs covers, would have to be estimated
for weights from as few models. An interval is the wider of two: the line's own, from the scatter around it with a t
quantile of k - 2 degrees of freedom, and what the errors of the points say alone. The first holds both, scatter and
errors, but is known badly from few models; by luck the points may lie on a line, and the second is its floor. (In
meta-regression: Knapp and Hartung 2003, Stat. Med. 22: 2693; the floor: Roever, Knapp and Friede 2015, BMC Med. Res.
Methodol. 15: 99.) Errors are taken as independent: what models share, being scored on the same items, lifts or lowers
a line and hardly tilts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.metrics.intervals import SIGNIFICANT
from harness.metrics.statistics import Array

FEWEST = 3
"""Points that an interval needs: two lie on a line always."""

NORMAL = 1.959963984540054
"""Half the width of a normal 95% interval, in standard errors."""


class Point(NamedTuple):
    """A model: `x` is the logarithm of its size to base 10, `error` the standard error of `y`."""

    x: float
    y: float
    error: float


class Value(NamedTuple):
    """A number and its 95% interval; None where too few points tell."""

    value: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """A line through points: its slope, and its height at the largest `x`."""

    slope: Value
    at_largest: Value


def half_width_error(low: float, high: float) -> float:
    """The standard error that a 95% interval stands for; a little too large where its t quantile was above normal."""
    return (high - low) / 2 / NORMAL


def line(points: Sequence[Point]) -> Line | None:
    """The line, with intervals from three points on; None where all have one size or there are fewer than two."""
    if len({point.x for point in points}) < 2:
        return None
    x, y, errors = np.array(points, dtype=np.float64).T
    centred = x - x.mean()
    tilt: Array = centred / (centred**2).sum()
    level: Array = 1 / len(x) + tilt * centred.max()
    slope = float(tilt @ y)
    residuals = y - y.mean() - slope * centred
    return Line(*(_value(weights, y, residuals, errors) for weights in (tilt, level)))


def _value(weights: Array, y: Array, residuals: Array, errors: Array) -> Value:
    """A weighted sum of the points' heights with its interval."""
    value, df = float(weights @ y), len(y) - 2
    if len(y) < FEWEST:
        return Value(value)
    from scipy.special import stdtrit

    scatter = np.sqrt((residuals**2).sum() / df * (weights**2).sum())
    measured = np.sqrt((weights**2 * errors**2).sum())
    reach = float(max(stdtrit(df, 1 - SIGNIFICANT / 2) * scatter, NORMAL * measured))
    return Value(value, value - reach, value + reach)
