"""Held-out pairs told apart by whether a pair with exactly their exchanged words was trained on.

A gain on "women / men" pairs that training has balanced in other sentences is no gain on words it never met. Which
pairs these are is decided where they are scored, see `harness.data.exchanged_words`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.metrics.benchmarks import Benchmark
from harness.metrics.statistics import Array, ClusterTable
from harness.reporting.measure import Measurement, measure
from harness.reporting.rows import Step
from harness.reporting.scores import Records

SEEN, UNSEEN = "words-seen", "words-unseen"
GAP = "seen_minus_unseen"


def by_words(benchmark: Benchmark, step: Step, base: Sequence[Records]) -> Iterator[tuple[str | None, Measurement]]:
    """The headline metrics of both parts, and under "METRIC_seen_minus_unseen" the seen part's value minus the other's.

    Nothing where one of the parts is empty, or the samples do not tell them apart (they are of an earlier version).
    """
    records = step.records[0]
    if any(record.words_seen is None for record in records):
        return
    names = {record.pair_id for record in records if record.words_seen}
    parts, before = ([_parts(one, names) for one in sets] for sets in (step.records, base))
    if not all(parts[0].values()):
        return
    for part in parts[0]:
        of_base, members = ([one[part] for one in sets] for sets in (before, parts))
        yield from (
            (part, item) for item in measure(benchmark, replace(step, records=members), of_base, benchmark.headline)
        )
    apart = benchmark._replace(
        table=lambda both: _side_by_side(benchmark, _parts(both, names)), combine=lambda sums: _gaps(benchmark, sums)
    )
    yield from ((None, item) for item in measure(apart, step, base))


def _parts(records: Records, seen: set[str]) -> dict[str, Records]:
    return {
        SEEN: [record for record in records if record.pair_id in seen],
        UNSEEN: [record for record in records if record.pair_id not in seen],
    }


def _side_by_side(benchmark: Benchmark, parts: Mapping[str, Records]) -> ClusterTable:
    """Both parts' sums of each cluster in one table: a writer's pairs of both parts are resampled together."""
    tables = {part: benchmark.table(records) for part, records in parts.items()}
    clusters = tuple(sorted({cluster for table in tables.values() for cluster in table.clusters}))
    columns = tuple(f"{part}/{column}" for part, table in tables.items() for column in table.columns)
    sums, sizes = [np.zeros((len(clusters), len(table.columns))) for table in tables.values()], np.zeros(len(clusters))
    for place, table in zip(sums, tables.values(), strict=True):
        its = [clusters.index(cluster) for cluster in table.clusters]
        place[its] = table.sums
        sizes[its] += table.sizes
    return ClusterTable(clusters, columns, np.concatenate(sums, axis=1), sizes)


def _gaps(benchmark: Benchmark, sums: Mapping[str, Array]) -> dict[str, Array]:
    seen, unseen = (
        benchmark.combine({name.partition("/")[2]: sums[name] for name in sums if name.partition("/")[0] == part})
        for part in (SEEN, UNSEEN)
    )
    return {f"{metric}_{GAP}": seen[metric] - unseen[metric] for metric in benchmark.headline}
