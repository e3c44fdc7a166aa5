"""The intervals that `stereoscope eval` prints are those of a report's page."""

from __future__ import annotations

import random

import pytest

from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.crows_pairs import PairScore
from harness.metrics.stereoset import OptionScores
from harness.metrics.value_intervals import value_intervals
from harness.reporting.measure import measure
from harness.reporting.rows import Step
from harness.reporting.scores import RunLabel

RANDOM = random.Random(3)
ITEMS = [
    OptionScores(str(n), "intrasentence", f"term{n % 12}", "gender", *(RANDOM.gauss(mean, 1) for mean in (1, 1, -1)))
    for n in range(90)
]
PAIRS = [
    PairScore(str(n), "age", "stereo", f"A{n % 9}", RANDOM.gauss(-20, 3), RANDOM.gauss(-21, 3), 5, 6) for n in range(80)
]


@pytest.mark.parametrize(("task", "records"), [("stereoset_intrasentence", ITEMS), ("crows_pairs", PAIRS)])
def test_a_table_and_a_report_show_the_same_interval(task: str, records: list[OptionScores] | list[PairScore]) -> None:
    benchmark = BENCHMARKS[task]
    printed = value_intervals(benchmark.table(records), benchmark.combine)
    reported = measure(benchmark, Step([records], [RunLabel(None, None)]), ())
    assert {item.metric for item in reported} == set(printed)
    for item in reported:
        ends = None if item.low is None else pytest.approx((item.low, item.high))
        assert printed[item.metric] == ends, item.metric


def test_a_single_cluster_has_no_interval() -> None:
    benchmark = BENCHMARKS["crows_pairs"]
    alone = [pair._replace(writer="A1") for pair in PAIRS]
    assert set(value_intervals(benchmark.table(alone), benchmark.combine).values()) == {None}
