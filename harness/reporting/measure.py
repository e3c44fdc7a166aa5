"""One task at one stage, measured: values and differences with intervals, all tables resampled together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.metrics.benchmarks import Benchmark
from harness.metrics.statistics import (
    Array,
    ClusterTable,
    Difference,
    Interval,
    difference,
    estimate,
    mcnemar,
    percentile_interval,
    replicates,
)
from harness.reporting.schema import Test
from harness.reporting.scores import Records

ABS_DIFF = "abs_logprob_diff"
ABS_DIFF_RATIO = "abs_logprob_diff_ratio"


@dataclass(frozen=True)
class Measurement:
    """A metric's value, and how it differs from the base model's on the same items; units are the metric's."""

    metric: str
    value: float | None
    interval: Interval | None
    n: int
    clusters: int
    fold_values: tuple[float | None, ...]
    base_value: float | None = None
    change: Difference | None = None
    p_value: float | None = None
    p_test: Test | None = None


def measured_at(benchmark: Benchmark, folds: Sequence[Records], base: Records | None) -> list[Measurement]:
    """Every metric of the records, those without an interval (medians) behind the others."""
    return measure(benchmark, folds, base) + without_interval(benchmark, folds, base)


def measure(benchmark: Benchmark, folds: Sequence[Records], base: Records | None) -> list[Measurement]:
    """Every metric of the records: its mean over folds, interval, and difference from the base.

    All folds and the base share one set of cluster weights, so that the interval of a difference keeps what they have
    in common, and folds that scored the same items do not count as more items.

    Args:
        benchmark: reduces records to metrics.
        folds: records of each fold, the same items in each.
        base: the base model's records of the same items; None if there are none.
    """
    sets = [*folds, *([] if base is None else [base])]
    tables = [benchmark.table(records) for records in sets]
    clusters = len(tables[0].clusters)
    points = [estimate(table, benchmark.combine) for table in tables]
    draws = _draws(tables, benchmark)
    n = _items(benchmark, folds[0])
    measured = []
    for metric in points[0]:
        values = tuple(point[metric] for point in points[: len(folds)])
        value = _mean(values)
        drawn = np.mean([draw[metric] for draw in draws[: len(folds)]], axis=0)
        interval = None if value is None else percentile_interval(drawn)
        item = Measurement(metric, value, interval, n, clusters, values)
        if base is not None:
            item = _compared(item, drawn, points[-1][metric], draws[-1][metric])
        measured.append(item)
    if base is not None and len(folds) == 1:
        measured = [_exactly_tested(item, benchmark, base, folds[0]) for item in measured]
    if base is not None and ABS_DIFF in points[0]:
        measured += _ratio(measured, ABS_DIFF, draws)
    return measured


def without_interval(benchmark: Benchmark, folds: Sequence[Records], base: Records | None) -> list[Measurement]:
    """Metrics that are no function of sums (a median): their values and difference, without an interval."""
    table = benchmark.table(folds[0])
    tabled = estimate(table, benchmark.combine)
    points = [benchmark.metrics(records) for records in folds]
    before = {} if base is None else benchmark.metrics(base)
    measured = []
    for metric in points[0]:
        if "/" in metric or metric in tabled or metric == "n":
            continue
        values = tuple(point[metric] for point in points)
        value, base_value = _mean(values), before.get(metric)
        change = None if value is None or base_value is None else Difference(value - base_value, None, None)
        n, clusters = _items(benchmark, folds[0]), len(table.clusters)
        measured.append(Measurement(metric, value, None, n, clusters, values, base_value, change))
    return measured


def _draws(tables: Sequence[ClusterTable], benchmark: Benchmark) -> list[dict[str, Array]]:
    """Bootstrap replicates a table; a single undefined one where there are too few clusters to resample."""
    if len(tables[0].clusters) > 1:
        return replicates(tables, benchmark.combine)
    return [dict.fromkeys(estimate(table, benchmark.combine), np.array([np.nan])) for table in tables]


def _compared(item: Measurement, drawn: Array, base_value: float | None, base_drawn: Array) -> Measurement:
    if item.value is None or base_value is None:
        return replace(item, base_value=base_value)
    change = difference(item.value - base_value, drawn - base_drawn, item.clusters)
    test: Test | None = None if change.p_value is None else "bootstrap"
    return replace(item, base_value=base_value, change=change, p_value=change.p_value, p_test=test)


def _exactly_tested(item: Measurement, benchmark: Benchmark, base: Records, after: Records) -> Measurement:
    """McNemar's test in place of the bootstrap's for the metric that counts one choice an item."""
    if benchmark.choice is None or item.metric != benchmark.choice_metric or item.change is None:
        return item
    choices = [
        [benchmark.choice(record) for record in sorted(records, key=benchmark.item_key)] for records in (base, after)
    ]
    return replace(item, p_value=mcnemar(*choices), p_test="mcnemar")


def _ratio(measured: Iterable[Measurement], metric: str, draws: Sequence[dict[str, Array]]) -> list[Measurement]:
    """After / before of a mean magnitude; 1 is no change, so it shares the p value of the difference."""
    item = next(item for item in measured if item.metric == metric)
    if item.value is None or not item.base_value:
        return []
    after = np.mean([draw[metric] for draw in draws[:-1]], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(draws[-1][metric] > 0, after / draws[-1][metric], np.nan)
    return [
        Measurement(
            ABS_DIFF_RATIO,
            item.value / item.base_value,
            percentile_interval(ratios),
            item.n,
            item.clusters,
            tuple(None if value is None else value / item.base_value for value in item.fold_values),
            p_value=item.p_value,
            p_test=item.p_test,
        )
    ]


def _items(benchmark: Benchmark, records: Records) -> int:
    return int(benchmark.metrics(records)["n"] or 0)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(values) else None
