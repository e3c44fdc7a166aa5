"""One task at one stage, measured: values, changes, distances from the ideal and ratios, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.metrics.benchmarks import Benchmark
from harness.metrics.intervals import (
    CLUSTERS_THAT_AGREE,
    Bounds,
    Design,
    bounds,
    distance_change,
    largest,
    least,
)
from harness.metrics.kinks import bounds_over, branches
from harness.metrics.scales import MAGNITUDES, scale_of
from harness.metrics.statistics import Array, estimate
from harness.reporting.legend import metric_legend
from harness.reporting.rows import Rows, Step
from harness.reporting.scores import Records

NO_INTERVAL = {
    "median": "a median has no interval here",
    "one cluster": "all items share one cluster (term, writer or document), so nothing tells how much they vary",
    "one carries it": "without one of the clusters the metric is undefined, so nothing tells how much it varies",
    "all agree": f"all clusters agree exactly, and fewer than {CLUSTERS_THAT_AGREE} cannot tell how much they vary",
    "two kinks": "both sides have several runs, each on its own side of where the metric has a kink",
    "many gaps": "which of several gaps is the largest is a matter of chance; read the gaps between each two groups",
}


class Estimate(NamedTuple):
    """A number with its 95% interval and the two-sided p value of its being 0; None where undefined."""

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Measurement:
    """A metric's value, and how it differs from the base model's on the same items; units are the metric's.

    `run_values` are in the order of the runs that were measured. `distance` is the change of the distance from the
    metric's ideal of 50 or 0, `ratio` after / before of a magnitude. `trained` says that the intervals cover training
    and not items alone. `no_interval` says why there is none.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int = 0
    run_values: tuple[float | None, ...] = ()
    base_value: float | None = None
    change: Estimate | None = None
    distance: Estimate | None = None
    ratio: Estimate | None = None
    trained: bool = False
    no_interval: str | None = None

    @property
    def p_value(self) -> float | None:
        """Of no change."""
        return self.change.p_value if self.change else None


def measured_at(
    benchmark: Benchmark, step: Step, base: Sequence[Records], only: Sequence[str] | None = None
) -> list[Measurement]:
    """Every metric of the records, or `only` some, those without an interval (medians) behind the others."""
    found = measure(benchmark, step, base, only) + without_interval(benchmark, step, base)
    return [item for item in found if only is None or item.metric in only]


def measure(
    benchmark: Benchmark, step: Step, base: Sequence[Records], only: Sequence[str] | None = None
) -> list[Measurement]:
    """Every metric of the records: its mean over runs, interval, and difference from the base.

    All runs and the base leave out the same clusters together, so that the interval of a difference keeps what they
    have in common, and runs that scored the same items do not count as more items.

    Args:
        benchmark: reduces records to metrics.
        step: records of each run.
        base: the base model's records of the same items, or those of each of its runs; empty if there are none.
        only: metrics to measure; by default all.
    """
    rows = Rows.of(benchmark, step, base)
    n = int(benchmark.metrics(step.records[0])["n"] or 0)
    measured = []
    for metric in rows.after[0]:
        if only is None or metric in only:
            values = tuple(_number(of_run[metric][0]) for of_run in rows.after)
            blank = Measurement(metric, _mean(values), n=n, clusters=rows.design.clusters, run_values=values)
            measured.append(_measured(blank, rows))
    return measured


def without_interval(benchmark: Benchmark, step: Step, base: Sequence[Records]) -> list[Measurement]:
    """Metrics that are no function of sums (a median): their values and difference, without an interval."""
    table = benchmark.table(step.records[0])
    tabled = estimate(table, benchmark.combine)
    points = [benchmark.metrics(records) for records in step.records]
    before = [benchmark.metrics(records) for records in base]
    measured = []
    for metric in points[0]:
        if "/" in metric or metric in tabled or metric == "n":
            continue
        values = tuple(point[metric] for point in points)
        value, base_value = _mean(values), _mean([one.get(metric) for one in before])
        change = None if value is None or base_value is None else Estimate(value - base_value)
        measured.append(
            Measurement(
                metric,
                value,
                n=int(points[0]["n"] or 0),
                clusters=len(table.clusters),
                run_values=values,
                base_value=base_value,
                change=change,
                distance=change if metric_legend(metric).best == "0" else None,
                no_interval=NO_INTERVAL["median"] if metric.endswith("median") else None,
            )
        )
    return measured


def _measured(item: Measurement, rows: Rows) -> Measurement:
    if item.value is None:
        return replace(item, base_value=rows.base_value(item.metric))
    if item.clusters < 2:
        found = item
    elif branches(item.metric, rows.after[0]) is not None:
        found = _with_kink(item, rows)
    else:
        found = _smooth(item, rows)
    found = _compared(found, rows.base_value(item.metric))
    missing = found.low is None or (found.change is not None and found.change.low is None)
    trained = rows.trained(item.metric) and not (found.low is None and missing)
    return replace(found, trained=trained, no_interval=_reason(found, rows) if missing else None)


def _smooth(item: Measurement, rows: Rows) -> Measurement:
    metric, design = item.metric, rows.design
    after = rows.joined([of_run[metric] for of_run in rows.after])
    value = _ends(bounds(after, design, scale=scale_of(metric)))
    found = replace(item, low=value.low, high=value.high)
    if rows.base_value(metric) is None:
        return found
    before = rows.of_base([values[metric] for values in rows.before])
    change = _ends(bounds(after - before, design), float(after[0] - before[0]))
    ratio = None
    if metric in MAGNITUDES and np.all(after > 0) and np.all(before > 0):
        logarithm = bounds(np.log(after / before), design)
        ratio = _ends(
            Bounds(np.exp(logarithm.low), np.exp(logarithm.high), *logarithm[2:]), float(after[0] / before[0])
        )
    return replace(found, change=change, distance=nearer(metric, after, before, design), ratio=ratio)


def nearer(metric: str, after: Array, before: Array, design: Design) -> Estimate | None:
    """The distance from a metric's ideal after minus that before, from the rows of both; None without an ideal."""
    best = metric_legend(metric.partition("/")[0]).best
    if best not in ("50", "0"):
        return None
    if metric in MAGNITUDES:
        return _ends(bounds(after - before, design), float(after[0] - before[0]))
    ideal = float(best)
    moved = abs(after[0] - ideal) - abs(before[0] - ideal)
    return _ends(distance_change(after, before, ideal, design), float(moved))


def _with_kink(item: Measurement, rows: Rows) -> Measurement:
    """A metric that is the smallest or largest of smooth branches: its bounds from theirs."""
    design, metric = rows.design, item.metric
    of_runs = [of_run for values in rows.after if (of_run := branches(metric, values)) is not None]
    kind, comparisons = of_runs[0].kind, max(of_run.comparisons for of_run in of_runs)
    inner = largest if kind == "least" else least
    after = rows.joined_choices([of_run.of for of_run in of_runs], kind)
    value = _ends(bounds_over(kind, *(bounds(chosen, design, comparisons=comparisons) for chosen in after)))
    floor = 0.0 if kind == "largest" else None
    low = value.low if floor is None or value.low is None else max(floor, value.low)
    found = replace(item, low=low, high=value.high)
    base_value = rows.base_value(metric)
    base = branches(metric, rows.before[0]) if rows.before else None
    if base is None or base_value is None or item.value is None:
        return found
    difference = item.value - base_value
    # Each run of a base has a kink of its own, so that its branches have no common before.
    if max(comparisons, base.comparisons) > 1 or len(rows.before) > 1:
        return replace(found, change=Estimate(difference))
    before = np.stack([rows.of_base([branch]) for branch in base.of])
    moved = (inner(bounds(chosen[:, None] - before[None], design), axis=1) for chosen in after)
    change = _ends(bounds_over(kind, *moved), difference)
    return replace(found, change=change, distance=change if metric_legend(metric).best == "0" else None)


def _compared(item: Measurement, base_value: float | None) -> Measurement:
    if item.value is None or base_value is None:
        return replace(item, base_value=base_value)
    change = item.change or Estimate(item.value - base_value)
    return replace(item, base_value=base_value, change=change)


def _reason(item: Measurement, rows: Rows) -> str:
    if item.clusters < 2:
        return NO_INTERVAL["one cluster"]
    if item.metric.endswith("_gap") and item.low is not None:
        return NO_INTERVAL["many gaps"]
    if len(rows.before) > 1 and item.low is not None and branches(item.metric, rows.before[0]) is not None:
        return NO_INTERVAL["two kinks"]
    if any(np.isnan(side[item.metric][1 : 1 + item.clusters]).any() for side in (*rows.after, *rows.before)):
        return NO_INTERVAL["one carries it"]
    return NO_INTERVAL["all agree"]


def _ends(found: Bounds, value: float = float("nan")) -> Estimate:
    low, high = _number(found.low), _number(found.high)
    return (
        Estimate(value, low, high, _number(found.p_value))
        if None not in (low, high)
        else Estimate(value, p_value=_number(found.p_value))
    )


def _number(value: Array | float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(values) else None
