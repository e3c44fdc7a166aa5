"""A task's metrics as rows for intervals: of all items, without each cluster, and for each unit of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.metrics.benchmarks import Benchmark
from harness.metrics.intervals import Design, Units
from harness.metrics.kinks import Kind, common_choices, foremost_branch, mixed_choices
from harness.metrics.statistics import Array, check_matching, combined, whole_and_left_out
from harness.reporting.scores import Records, RunLabel


@dataclass(frozen=True)
class Step:
    """The records of a stage: one set for each run that scored the same items, and how the runs were trained.

    Args:
        records: a set for each of `runs`.
        runs: fold and seed of each set.
        fold_of: the fold that scored an item, by item key, where each fold held out other items.
    """

    records: Sequence[Records]
    runs: Sequence[RunLabel]
    fold_of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """The metrics of every run and of the base: value, value without each cluster, value without each fold's own items.

    `before` is empty without a base, has one set for a base that all runs started from, and one a run where the runs of
    two methods are compared. `same_items` groups the runs that scored the same items into units of training, by place;
    empty for a single one.
    """

    after: tuple[dict[str, Array], ...]
    before: tuple[dict[str, Array], ...]
    same_items: tuple[tuple[int, ...], ...]
    design: Design

    @classmethod
    def of(cls, benchmark: Benchmark, step: Step, base: Sequence[Records]) -> Rows:
        """Tabulate and combine; `base` has no set of records, one, or one for each run of the step.

        Raises:
            ValueError: a run or the base is about other clusters than the first run.
        """
        sets = [*step.records, *base]
        tables = [benchmark.table(records) for records in sets]
        check_matching(tables)
        folds = sorted({step.fold_of[benchmark.item_key(item)] for item in step.records[0]} if step.fold_of else ())
        found = []
        for table, records in zip(tables, sets, strict=True):
            totals = whole_and_left_out(table.sums)
            if len(folds) > 1:
                totals = np.concatenate([totals, totals[0] - _totals_by_fold(benchmark, records, step.fold_of, folds)])
            found.append(combined(table.columns, totals, benchmark.combine))
        same_items = _together(step.runs)
        units = []
        if len(folds) > 1:
            units.append(Units(np.full(len(folds), 1 / len(folds)), left_out=True))
        if len(same_items) > 1:
            units.append(Units(np.array([len(unit) for unit in same_items]) / len(step.runs), left_out=False))
        return cls(
            tuple(found[: len(step.records)]),
            tuple(found[len(step.records) :]),
            same_items if len(same_items) > 1 else (),
            Design(tables[0].sizes, tuple(units)),
        )

    def joined(self, of_runs: Sequence[Array]) -> Array:
        """A statistic of the mean over runs, [..., rows]: of all runs, then of each unit of runs of the same items."""
        own = 1 + self.design.clusters
        units = [np.mean([of_runs[run][..., :own] for run in unit], axis=0) for unit in self.same_items]
        return np.concatenate([np.mean(of_runs, axis=0), *units], axis=-1)

    def of_base(self, values: Sequence[Array]) -> Array:
        """The same of the base model: of one, which is the same for each unit, or of one for each run."""
        return self.joined(list(values) * (len(self.after) // len(values)))

    def base_value(self, metric: str) -> float | None:
        """A metric of the base, the mean over its runs; None without a base or where it is undefined."""
        value = np.mean([values[metric][0] for values in self.before]) if self.before else np.nan
        return None if np.isnan(value) else float(value)

    def joined_choices(self, of_runs: Sequence[Array], kind: Kind) -> tuple[Array, Array]:
        """The same of a metric with a kink for choices of branches, from [branches, rows] each: mixed and common.

        How far training runs lie apart is told by the metric itself and not by the branches chosen for them.
        """
        own = 1 + self.design.clusters
        foremost = self.joined([foremost_branch(branches, kind) for branches in of_runs])
        units = foremost[of_runs[0].shape[-1] :].reshape(len(self.same_items), own) - foremost[:own]

        def with_units(chosen: Array) -> Array:
            moved = chosen[:, None, :own] + units
            return np.concatenate([chosen, moved.reshape(len(chosen), len(self.same_items) * own)], axis=-1)

        return with_units(mixed_choices(of_runs, kind)), with_units(common_choices(of_runs))

    def trained(self, metric: str) -> bool:
        """Whether at least two units of training tell how far runs lie apart."""
        without_folds = self.after[0][metric][1 + self.design.clusters :]
        return bool(self.same_items) or int((~np.isnan(without_folds)).sum()) > 1


def _totals_by_fold(benchmark: Benchmark, records: Records, fold_of: Mapping[str, int], folds: Sequence[int]) -> Array:
    """Column totals of each fold's own items, [folds, columns]."""
    own: dict[int, list[object]] = {fold: [] for fold in folds}
    for record in records:
        own[fold_of[benchmark.item_key(record)]].append(record)
    return np.stack([benchmark.table(own[fold]).sums.sum(axis=0) for fold in folds])


def _together(runs: Sequence[RunLabel]) -> tuple[tuple[int, ...], ...]:
    """Places of the runs that vary together: those of one fold where there are several folds, else each run alone."""
    folds = sorted({run.fold for run in runs if run.fold is not None})
    if len(folds) > 1:
        return tuple(tuple(place for place, run in enumerate(runs) if run.fold == fold) for fold in folds)
    return tuple((place,) for place in range(len(runs)))
