"""Runs of several folds and seeds: which vary together, and what the mean's interval makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.stereoset import OptionScores
from harness.reporting.measure import Measurement, measure
from harness.reporting.rows import Rows, Step
from harness.reporting.scores import Records, RunLabel

BENCHMARK = BENCHMARKS["stereoset_intrasentence"]


def records(shift: float) -> Records:
    """Twenty terms of ten items, the same every time, the stereotype preferred more often the larger `shift`."""
    drawn = np.random.default_rng(0).normal(size=(20, 10))
    return [
        OptionScores(f"{term}-{item}", "intrasentence", f"term{term:02}", "race", float(value) + shift, 0.0, -9.0)
        for term, items in enumerate(drawn)
        for item, value in enumerate(items)
    ]


def ss(shifts: list[float], runs: list[RunLabel]) -> Measurement:
    step = Step([records(shift) for shift in shifts], runs)
    return next(item for item in measure(BENCHMARK, step, [records(0.5)]) if item.metric == "ss")


def width(item: Measurement) -> float:
    assert item.change is not None
    assert item.change.low is not None
    assert item.change.high is not None
    return item.change.high - item.change.low


def test_seeds_of_one_fold_are_runs_of_their_own() -> None:
    one = ss([0.2], [RunLabel(0, 0)])
    three = ss([0.0, 0.2, 0.4], [RunLabel(0, seed) for seed in range(3)])
    assert (one.trained, three.trained) == (False, True)
    assert width(three) > width(one)


def test_seeds_are_averaged_within_their_fold_where_there_are_several_folds() -> None:
    """Fold means alike and seeds apart say that folds do not matter; folds apart and seeds alike that they do."""
    labels = [RunLabel(fold, seed) for fold in (0, 1) for seed in (0, 1)]
    rows = Rows.of(BENCHMARK, Step([records(0.2)] * 4, labels), ())
    assert rows.same_items == ((0, 1), (2, 3))
    seeds_apart = ss([0.0, 0.4, 0.0, 0.4], labels)
    folds_apart = ss([0.0, 0.0, 0.4, 0.4], labels)
    assert seeds_apart.value == pytest.approx(folds_apart.value)
    assert width(folds_apart) > 3 * width(seeds_apart)


def test_folds_of_unequal_numbers_of_seeds_count_by_their_runs() -> None:
    labels = [RunLabel(0, 0), RunLabel(0, 1), RunLabel(1, 0)]
    (units,) = Rows.of(BENCHMARK, Step([records(0.2)] * 3, labels), ()).design.units
    assert units.weights == pytest.approx([2 / 3, 1 / 3])


def test_icat_of_runs_on_both_sides_of_50_has_an_interval_that_holds_it() -> None:
    labels = [RunLabel(fold) for fold in range(3)]
    step = Step([records(shift) for shift in (-0.1, 0.0, 0.1)], labels)
    found = next(item for item in measure(BENCHMARK, step, [records(0.5)]) if item.metric == "icat")
    assert found.low is not None
    assert found.high is not None
    assert found.low <= (found.value or 0) <= found.high
    assert found.run_values == pytest.approx([
        measured.value
        for shift in (-0.1, 0.0, 0.1)
        for measured in measure(BENCHMARK, Step([records(shift)], [RunLabel()]), ())
        if measured.metric == "icat"
    ])  # fmt: skip
