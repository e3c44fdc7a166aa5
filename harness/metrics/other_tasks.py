"""Any other task of lm-eval as a benchmark: its own value for each document, averaged as lm-eval averages it.

A model that lost its abilities is no use to anyone, so whatever else was scored counts as an ability that a step has to
keep. Which average a metric is (a mean, a perplexity) is not asked of lm-eval, whose results name it only for some
tasks: it is the one that gives lm-eval's own number from the samples. Metrics that none gives (a corpus BLEU, Matthews'
correlation) have no value for a single document, and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from harness.metrics.aggregation import Scores, ratio
from harness.metrics.benchmarks import Benchmark, Metric
from harness.metrics.statistics import Array, ClusterTable, estimate, table_from

NO_FILTER = "none"
_AGREES = 1e-6

Best = Literal["higher", "lower"]


class Outcome(NamedTuple):
    """What one line of a samples file says: metric -> (sum, weight). A document has a line for each of its filters."""

    task: str
    document: str
    filter: str
    values: Mapping[str, tuple[float, float]]


class _Average(NamedTuple):
    unit: str
    of: Callable[[Array], Array]  # of sum / weight


_PERCENT = _Average("percent", lambda mean: 100 * mean)
_MEAN = _Average("", lambda mean: mean)
_PERPLEXITY = _Average("perplexity", lambda mean: _exp(-mean))
_BITS = _Average("bits", lambda mean: -mean / math.log(2))


class _Found(NamedTuple):
    average: _Average
    best: Best | None


def benchmark_of(task: str, lines: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> Benchmark | None:
    """How a task's samples lead to its metrics; None if there is no metric that they lead to.

    Args:
        task: as lm-eval calls it.
        lines: of its samples file.
        results: lm-eval's, with its own value of each metric and whether more of it is better.
    """
    outcomes = [outcome(task, line) for line in lines]
    better = results.get("higher_is_better", {}).get(task) or {}
    found: dict[str, _Found] = {}
    for key, told in results.get("results", {}).get(task, {}).items():
        metric, comma, by = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(told, int | float):
            continue
        values = [one.values[name] for one in outcomes if (name := _name(metric, by)) in one.values]
        if values and (average := _average(values, told)):
            found[_name(metric, by)] = _Found(average, _BEST.get(better.get(metric)))
    return _benchmark(task, found) if found else None


def pooled(name: str, parts: Sequence[Benchmark]) -> Benchmark | None:
    """A group's benchmark: the metrics that all of its tasks have, over the documents of all.

    Each document counts alike, as in lm-eval's groups that weight by size.
    """
    shared = {
        metric: _Found(_BY_UNIT[told.unit], cast("Best | None", told.best))
        for metric, told in parts[0].legend.items()
        if all(part.legend.get(metric) == told for part in parts)
    }
    return _benchmark(name, shared, tuple(part.name for part in parts)) if shared else None


def outcome(task: str, line: Mapping[str, Any]) -> Outcome:
    """One line of a samples file.

    Raises:
        KeyError: the line is not one of lm-eval's.
    """
    by = str(line.get("filter", NO_FILTER))
    found = {_name(metric, by): _value(line[metric]) for metric in line.get("metrics", ())}
    return Outcome(task, str(line["doc_id"]), by, {name: value for name, value in found.items() if value is not None})


def _name(metric: str, by: str) -> str:
    return metric if by == NO_FILTER else f"{metric} ({by})"


def _value(told: object) -> tuple[float, float] | None:
    """A number, or lm-eval's pair of a log-probability and the words or bytes that it is of."""
    if isinstance(told, int | float):
        return float(told), 1.0
    if isinstance(told, list | tuple) and len(told) == 2 and all(isinstance(part, int | float) for part in told):
        return float(told[0]), float(told[1])
    return None


def _average(values: Sequence[tuple[float, float]], told: float) -> _Average | None:
    total, weight = (math.fsum(column) for column in zip(*values, strict=True))
    if not weight:
        return None
    mean = total / weight
    shares = all(0 <= value <= 1 and weight == 1 for value, weight in values)
    candidates = (
        (_PERCENT if shares else _MEAN, mean),
        (_PERPLEXITY, float(_exp(-mean))),
        (_BITS, -mean / math.log(2)),
    )
    agreeing = (average for average, value in candidates if math.isclose(value, told, rel_tol=_AGREES, abs_tol=_AGREES))
    return next(agreeing, None)


def _benchmark(task: str, found: Mapping[str, _Found], pools: tuple[str, ...] = ()) -> Benchmark:
    combine = partial(_combine, found)
    table = partial(_table, tuple(found))
    # A perplexity is compared as a ratio, a share in points; nothing says how much of anything else is a loss.
    legend = {
        name: Metric(name, one.average.unit, one.best if one.average.unit in ("percent", "perplexity") else None)
        for name, one in found.items()
    }
    return Benchmark(
        task,
        "",
        partial(outcome, task),
        table,
        combine,
        metrics=lambda records: _metrics(table(records), combine, records),
        parts=lambda records: {},
        item_key=lambda one: f"{one.task}/{one.document}/{one.filter}",
        headline=tuple([name for name, one in legend.items() if one.best][:1]),
        times_asked=lambda records: len({one.filter for one in records}),
        pools=pools,
        title=task,
        legend=legend,
    )


def _table(names: Sequence[str], records: Sequence[Outcome]) -> ClusterTable:
    columns: dict[str, list[float]] = {}
    for name in names:
        pairs = [one.values.get(name, (0.0, 0.0)) for one in records]
        columns[f"{name} sum"], columns[f"{name} weight"] = map(list, zip(*pairs, strict=True))
    return table_from([f"{one.task}/{one.document}" for one in records], columns)


def _combine(found: Mapping[str, _Found], sums: Mapping[str, Array]) -> dict[str, Array]:
    return {name: one.average.of(ratio(sums[f"{name} sum"], sums[f"{name} weight"])) for name, one in found.items()}


def _metrics(table: ClusterTable, combine: Callable[..., dict[str, Array]], records: Sequence[Outcome]) -> Scores:
    return {**estimate(table, combine), "n": float(len({(one.task, one.document) for one in records}))}


def _exp(value: Any) -> Any:
    import numpy as np

    with np.errstate(over="ignore"):
        return np.exp(value)


_BEST: Mapping[Any, Best] = {True: "higher", False: "lower"}
_BY_UNIT = {average.unit: average for average in (_PERCENT, _MEAN, _PERPLEXITY, _BITS)}
