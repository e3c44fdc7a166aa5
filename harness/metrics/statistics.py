"""Everything the project knows about uncertainty: cluster bootstrap, paired differences, exact McNemar, Holm.

A metric is a function of sums over clusters (target terms, annotators, documents), so a bootstrap resample is a vector
of cluster weights and 10,000 of them are a matrix product. The percentile interval and its p value follow Efron and
Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15; the cluster is the unit of resampling because
items that share a target term or a writer are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Combine = Callable[[Mapping[str, Array]], dict[str, Array]]

RESAMPLES = 10_000
LEVEL = 0.95
# A percentile over the resamples that happen to define a metric says little once many of them do not.
DEFINED_SHARE = 0.95
_CELLS_A_CHUNK = 2_000_000


@dataclass(frozen=True)
class ClusterTable:
    """Sums per resampling cluster: `sums` is [clusters, columns], and a metric is a function of its column sums."""

    clusters: tuple[str, ...]
    columns: tuple[str, ...]
    sums: Array

    def __post_init__(self) -> None:
        if self.sums.shape != (len(self.clusters), len(self.columns)):
            raise ValueError(
                f"a table of {len(self.clusters)} clusters and {len(self.columns)} columns needs sums of that shape, "
                f"found {self.sums.shape}"
            )


class Interval(NamedTuple):
    """A 95% percentile bootstrap interval, in the metric's unit."""

    low: float
    high: float


class Difference(NamedTuple):
    """After minus before on the same clusters, in the metric's unit; `interval` and `p_value` None if undefined."""

    value: float
    interval: Interval | None
    p_value: float | None


def table_from(keys: Sequence[str], columns: Mapping[str, Sequence[float]]) -> ClusterTable:
    """Sum each column over the records of a cluster; clusters are sorted, so the order of records changes nothing.

    Args:
        keys: the cluster of each record.
        columns: column name -> one number a record.
    """
    for name, values in columns.items():
        if len(values) != len(keys):
            raise ValueError(f"column {name!r} has {len(values)} values for {len(keys)} records")
    clusters = tuple(sorted(set(keys)))
    place = {cluster: index for index, cluster in enumerate(clusters)}
    places = np.array([place[key] for key in keys], dtype=np.intp)
    sums = np.zeros((len(clusters), len(columns)))
    for column, values in enumerate(columns.values()):
        np.add.at(sums[:, column], places, np.asarray(values, dtype=np.float64))
    return ClusterTable(clusters, tuple(columns), sums)


def estimate(table: ClusterTable, combine: Combine) -> dict[str, float | None]:
    """The metrics of the table itself; None where undefined."""
    values = _combined([table], combine, np.ones((1, len(table.clusters))))[0]
    return {name: _defined(float(value[0])) for name, value in values.items()}


def replicates(
    tables: Sequence[ClusterTable], combine: Combine, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[dict[str, Array]]:
    """Bootstrap replicates of every metric, [resamples] each, all tables under the same cluster weights.

    Sharing the weights is what pairs the tables: a resample that drops a hard target term drops it everywhere.

    Raises:
        ValueError: the tables do not have the same clusters and columns.
    """
    _check_matching(tables)
    chunks = [_combined(tables, combine, weights) for weights in _weights(tables[0], resamples, seed)]
    return [
        {name: np.concatenate([chunk[place][name] for chunk in chunks]) for name in chunks[0][place]}
        for place in range(len(tables))
    ]


def bootstrap(
    table: ClusterTable, combine: Combine, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval | None]:
    """95% percentile interval of every metric; None for an undefined metric or with fewer than two clusters."""
    if len(table.clusters) < 2:
        return dict.fromkeys(estimate(table, combine))
    drawn = replicates([table], combine, resamples=resamples, seed=seed)[0]
    return {
        name: None if value is None else percentile_interval(drawn[name])
        for name, value in estimate(table, combine).items()
    }


def paired_bootstrap(
    before: ClusterTable,
    after: ClusterTable,
    combine: Combine,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference | None]:
    """After minus before for every metric, both under the same weights; None where either is undefined.

    Raises:
        ValueError: the two tables do not have the same clusters and columns.
    """
    drawn_before, drawn_after = replicates([before, after], combine, resamples=resamples, seed=seed)
    points_before, points_after = estimate(before, combine), estimate(after, combine)
    differences: dict[str, Difference | None] = {}
    for name, point in points_after.items():
        base = points_before[name]
        if point is None or base is None:
            differences[name] = None
        else:
            differences[name] = difference(point - base, drawn_after[name] - drawn_before[name], len(before.clusters))
    return differences


def difference(value: float, drawn: Array, clusters: int) -> Difference:
    """A difference with its percentile interval and p value, from its bootstrap replicates [resamples]."""
    if clusters < 2:
        return Difference(value, None, None)
    interval = percentile_interval(drawn)
    return Difference(value, interval, None if interval is None else p_value(drawn, clusters))


def percentile_interval(drawn: Array) -> Interval | None:
    """The middle 95% of the replicates; None if more than one in twenty is undefined (nan)."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined) or len(defined) < DEFINED_SHARE * len(drawn):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def p_value(drawn: Array, clusters: int) -> float:
    """Two-sided bootstrap p value of "the difference is zero": the level at which the percentile interval touches 0.

    One is added to both counts (Davison and Hinkley 1997, eq. 4.11), so that no finite number of resamples gives 0; and
    it is never below 2 ** (1 - clusters), what an exact sign test would give if all clusters agreed: three target terms
    cannot prove anything, although no resample of three negative differences is ever positive.
    """
    defined = drawn[~np.isnan(drawn)]
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, max(2 * (tail + 1) / (len(defined) + 1), 2.0 ** (1 - clusters)))


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Exact two-sided McNemar p value for the same choices made before and after (McNemar 1947).

    Under the null the choices that changed went either way with probability 1/2. No change at all gives 1.

    Raises:
        ValueError: the two sequences differ in length, so they cannot be the same items.
    """
    from scipy.special import bdtr

    if len(before) != len(after):
        raise ValueError(f"{len(before)} choices before and {len(after)} after: match the items first")
    gained = sum(now and not then for then, now in zip(before, after, strict=True))
    lost = sum(then and not now for then, now in zip(before, after, strict=True))
    if gained + lost == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) step-down adjusted p values, which control the chance of any false finding in the family."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, value) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * value))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _weights(table: ClusterTable, resamples: int, seed: int) -> Iterator[Array]:
    """How often each cluster is drawn, [chunk, clusters] at a time: rows are multinomial and sum to the clusters."""
    generator = np.random.default_rng(seed)
    clusters = len(table.clusters)
    chunk = max(1, _CELLS_A_CHUNK // max(1, clusters))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(clusters, size=(rows, clusters))
        drawn += np.arange(rows)[:, None] * clusters
        yield np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(np.float64)


def _combined(tables: Sequence[ClusterTable], combine: Combine, weights: Array) -> list[dict[str, Array]]:
    totals = [weights @ table.sums for table in tables]
    return [
        combine({name: total[:, place] for place, name in enumerate(table.columns)})
        for table, total in zip(tables, totals, strict=True)
    ]


def _check_matching(tables: Sequence[ClusterTable]) -> None:
    if not tables or not tables[0].clusters:
        raise ValueError("nothing to resample: no table, or a table without clusters")
    first = tables[0]
    for other in tables[1:]:
        if other.columns != first.columns:
            raise ValueError(f"columns differ: {first.columns} and {other.columns}")
        if other.clusters != first.clusters:
            changed = sorted(set(first.clusters) ^ set(other.clusters))
            raise ValueError(
                f"clusters differ: {len(first.clusters)} and {len(other.clusters)}, not in both: {changed[:5]}. "
                "Compare the same items before and after"
            )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
