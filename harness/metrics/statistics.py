"""Sums over clusters and the metrics that are functions of them: whole, with each cluster left out, and Holm's rule.

The cluster (target term, writer, document) is the unit of everything that is said about uncertainty, because items that
share one are not independent. How intervals and p values follow is in `intervals`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Combine = Callable[[Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True)
class ClusterTable:
    """Sums per cluster: `sums` is [clusters, columns], and a metric is a function of its column sums.

    `sizes` [clusters] is how much each cluster weighs in a metric: its records, unless the table says otherwise.
    """

    clusters: tuple[str, ...]
    columns: tuple[str, ...]
    sums: Array
    sizes: Array

    def __post_init__(self) -> None:
        if self.sums.shape != (len(self.clusters), len(self.columns)) or self.sizes.shape != (len(self.clusters),):
            raise ValueError(
                f"a table of {len(self.clusters)} clusters and {len(self.columns)} columns needs sums and sizes of "
                f"that shape, found {self.sums.shape} and {self.sizes.shape}"
            )


def table_from(
    keys: Sequence[str], columns: Mapping[str, Sequence[float]], sizes: Sequence[float] | None = None
) -> ClusterTable:
    """Sum each column over the records of a cluster; clusters are sorted, so the order of records changes nothing.

    Args:
        keys: the cluster of each record.
        columns: column name -> one number a record.
        sizes: how much each record weighs; all alike by default.
    """
    weighed = [1.0] * len(keys) if sizes is None else sizes
    for name, values in {**columns, "sizes": weighed}.items():
        if len(values) != len(keys):
            raise ValueError(f"column {name!r} has {len(values)} values for {len(keys)} records")
    clusters = tuple(sorted(set(keys)))
    place = {cluster: index for index, cluster in enumerate(clusters)}
    places = np.array([place[key] for key in keys], dtype=np.intp)
    sums = np.zeros((len(clusters), len(columns) + 1))
    for column, values in enumerate([*columns.values(), weighed]):
        np.add.at(sums[:, column], places, np.asarray(values, dtype=np.float64))
    return ClusterTable(clusters, tuple(columns), sums[:, :-1], sums[:, -1])


def estimate(table: ClusterTable, combine: Combine) -> dict[str, float | None]:
    """The metrics of the table itself; None where undefined."""
    values = combined(table.columns, table.sums.sum(axis=0), combine)
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def whole_and_left_out(sums: Array) -> Array:
    """Column totals of all clusters, then with each cluster left out: [..., clusters, columns] to [..., 1 + clusters,
    columns]."""
    whole = sums.sum(axis=-2, keepdims=True)
    return np.concatenate([whole, whole - sums], axis=-2)


def combined(columns: Sequence[str], totals: Array, combine: Combine) -> dict[str, Array]:
    """The metrics of each row of column totals, [..., columns] to [...] each."""
    return combine({name: totals[..., place] for place, name in enumerate(columns)})


def check_matching(tables: Sequence[ClusterTable]) -> None:
    """Refuse to compare tables that are not about the same clusters and columns.

    Raises:
        ValueError: they differ, or there is nothing to compare; names what differs.
    """
    if not tables or not tables[0].clusters:
        raise ValueError("nothing to compare: no table, or a table without clusters")
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


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) step-down adjusted p values, which control the chance of any false finding in the family."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, value) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * value))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
