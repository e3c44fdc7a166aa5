"""The intervals that `stereoscope eval` prints are those of a report's page."""

from __future__ import annotations

import math
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


def test_a_bias_score_has_an_interval_within_its_bounds() -> None:
    # Each template has two questions; of twelve templates one answers against the stereotype.
    answers = [
        Answer("Age", str(n // 2), n, "disambig", 0, 2, 0, choice=1 if n == 0 else 0, order=(0, 1, 2))
        for n in range(24)
    ]
    benchmark = BENCHMARKS["bbq_generate_age"]
    found = value_intervals(benchmark.table(answers), benchmark.combine)["s_dis"]
    value = benchmark.metrics(answers)["s_dis"]
    assert found is not None
    assert value == pytest.approx(200 * 23 / 24 - 100)
    assert -100 < found.low < value < found.high < 100
    # On the scale of log odds of the share of biased answers both ends are as far away.
    low, mid, high = (math.log((100 + end) / (100 - end)) for end in (found.low, value, found.high))
    assert mid - low == pytest.approx(high - mid)
