"""What a method does beyond its control: damage of the same size, at random, moves bias scores too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.benchmarks import Benchmark
from harness.reporting.measure import Estimate, nearer
from harness.reporting.rows import Rows, Step
from harness.reporting.scores import Records


def beyond(benchmark: Benchmark, step: Step, draws: Sequence[Records]) -> dict[str, Estimate]:
    """For each headline metric with an ideal, the distance's change at the step minus that at the control.

    Below 0 is nearer to the ideal than the control. Both changes are from one base on the same items, which cancels:
    what is left is the step's distance minus the control's, and its interval is that of a step against its base, over
    items and training. It does not cover the draw of the control, whose metrics are the means over its draws.

    Args:
        step: records of each run.
        draws: records of each seed of the control, of the same items.
    """
    rows = [Rows.of(benchmark, step, [records]) for records in draws]
    first = rows[0]
    found = {}
    for metric in benchmark.headline:
        after = first.joined([of_run[metric] for of_run in first.after])
        before = np.mean([values[metric] for one in rows for values in one.before], axis=0)
        gain = nearer(metric, after, first.of_base([before]), first.design)
        if gain is not None and first.design.clusters > 1 and np.isfinite(gain.value):
            found[metric] = gain
    return found
