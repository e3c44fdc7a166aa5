"""The error rates that docs/verdict.md promises, in a small version of the benchmark that measured them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from simulated.covered import coverage  # noqa: E402
from simulated.trained import WORLDS, family_claims  # noqa: E402
from simulated.worlds import TERMS, WRITERS  # noqa: E402

from harness.data import crows_pairs, stereoset  # noqa: E402
from harness.data.sources import find  # noqa: E402

EXPERIMENTS = 200


@pytest.mark.parametrize("world", [
    "no effect, 50% of the noise shared",
    "no effect, training varies by 1 point",
    "past the ideal, SS 57 to 43",
])  # fmt: skip
def test_what_is_not_there_is_not_claimed(world: str) -> None:
    """At most 5% and 7% in truth: three standard errors of 200 experiments above that are 9.6% and 12.4%."""
    (claims,) = family_claims(EXPERIMENTS, {world: WORLDS[world]})
    assert claims.fell <= 9.6
    assert claims.any <= 12.4


def test_a_fall_of_five_points_is_found() -> None:
    world = "the same, training varies by 1 point"
    (claims,) = family_claims(EXPERIMENTS, {world: WORLDS[world]})
    assert claims.of_ss >= 90


@pytest.mark.parametrize("clusters", ["3 terms", "10 terms", "10 writers"])
def test_intervals_hold_the_truth(clusters: str) -> None:
    """95% nominal; three standard errors of 200 experiments are 4.6%."""
    rows = [row for row in coverage(EXPERIMENTS, [clusters]) if row.clusters == clusters]
    assert len(rows) > 8
    assert {row.name: row.covered["in use"] for row in rows if row.covered["in use"] < 90.4} == {}
    percentile = [row.covered["percentile"] for row in rows if "percentile" in row.covered]
    assert min(percentile) < 90.4, "else this test could not tell a good interval from a bad one"


@pytest.mark.slow
def test_simulated_items_have_the_sizes_of_the_real_ones(real_data: Path) -> None:
    pairs = crows_pairs.read(find("crows_pairs", real_data).path)
    items = stereoset.read(find("stereoset", real_data).path, "intrasentence")
    assert sorted(Counter(pair.writer for pair in pairs).values()) == sorted(WRITERS)
    assert sorted(Counter(item.target for item in items).values()) == sorted(TERMS)
