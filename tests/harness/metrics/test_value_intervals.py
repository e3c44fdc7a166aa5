"""The intervals that `stereoscope eval` prints are those of a report's page."""

from __future__ import annotations

import random

import pytest

from harness.metrics.bbq_scores import Answer
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
WORDS = [
    Answer(
        *("Age", str(n // 8), n, ("ambig", "disambig")[n % 2], 2 - 2 * (n % 2), 2, RANDOM.choice((0, 1, None))),
        logprobs=[RANDOM.gauss(-9, 3) for _ in range(3)],
        tokens=(2, 3, 3),
    )
    for n in range(96)
]
LETTERS = [
    one._replace(rotation=turn, order=(turn, (turn + 1) % 3, (turn + 2) % 3)) for one in WORDS for turn in (0, 1)
]


@pytest.mark.parametrize(
    ("task", "records"),
    [
        ("stereoset_intrasentence", ITEMS),
        ("crows_pairs", PAIRS),
        ("bbq_age", WORDS),
        ("bbq_choice_age", LETTERS),
        ("bbq_generate_age", [one._replace(logprobs=None, choice=RANDOM.choice((0, 1, 2, None))) for one in LETTERS]),
    ],
)
def test_a_table_and_a_report_show_the_same_interval(
    task: str, records: list[OptionScores] | list[PairScore] | list[Answer]
) -> None:
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
