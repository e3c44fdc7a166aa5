"""95% intervals of one model's metrics, over items alone: what a report shows of a model that was scored once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.metrics.intervals import Bounds, Design, bounds
from harness.metrics.kinks import bounds_over, branches
from harness.metrics.scales import scale_of
from harness.metrics.statistics import ClusterTable, Combine, combined, whole_and_left_out


class Interval(NamedTuple):
    """The ends of a 95% interval, in the metric's unit."""

    low: float
    high: float


def value_intervals(table: ClusterTable, combine: Combine) -> dict[str, Interval | None]:
    """The interval of every metric; None for an undefined one, or where the clusters cannot tell how much it varies."""
    values = combined(table.columns, whole_and_left_out(table.sums), combine)
    design = Design(table.sizes)
    if design.clusters < 2:
        return dict.fromkeys(values)
    found: dict[str, Interval | None] = {}
    for metric, rows in values.items():
        if np.isnan(rows[0]):
            found[metric] = None
        elif (kink := branches(metric, values)) is not None:
            chosen = bounds(kink.of, design, comparisons=kink.comparisons)
            found[metric] = _interval(bounds_over(kink.kind, chosen, chosen), kink.kind == "largest")
        else:
            found[metric] = _interval(bounds(rows, design, scale=scale_of(metric)))
    return found


def _interval(found: Bounds, never_below_0: bool = False) -> Interval | None:
    low, high = float(found.low), float(found.high)
    if np.isnan(low) or np.isnan(high):
        return None
    return Interval(max(0.0, low) if never_below_0 else low, high)
