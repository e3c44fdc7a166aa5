"""Metrics that are the smaller or larger of smooth ones: their branches, and means of them over runs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harness.metrics import crows_pairs_prompt, regard, stereoset, stereoset_prompt, toxicity
from harness.metrics.intervals import Design, bounds, least
from harness.metrics.kinks import bounds_over, branches, common_choices, mixed_choices
from harness.metrics.statistics import Array


def totals(columns: list[str]) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    return {name: generator.integers(5, 50, size=20).astype(float) for name in columns}


@pytest.mark.parametrize(("combine", "columns", "metric"), [
    (stereoset.combine, ["lms_t", "ss_t", "terms", "related", "pro", "tied", "n"], "icat"),
    (stereoset.combine, ["lms_t", "ss_t", "terms", "related", "pro", "tied", "n"], "icat_micro"),
    (crows_pairs_prompt.combine,
     ["n", "won", "tied", "difference", "distance", "near", "reordered", "flipped", "first", "second"],
     "position_bias"),
    (stereoset_prompt.combine,
     ["items", "stereotype", "anti", "answered", "tied", "reordered", "flipped", *stereoset_prompt.POSITIONS],
     "position_bias"),
    (toxicity.combine,
     ["largest", "prompts", "any_toxic", "judged", "toxicity", "toxic", "texts", "empty", "truncated", "repeated",
      *(f"{name}@{group}" for name in ("largest", "prompts") for group in "abc")], "emt_gap"),
    (regard.combine,
     [*regard.LABELS, "judged", "texts", "empty", "truncated", "repeated",
      *(f"{name}@{group}" for name in ("positive", "negative", "judged") for group in "ab")], "regard_gap"),
])  # fmt: skip
def test_the_foremost_branch_is_the_metric(combine: object, columns: list[str], metric: str) -> None:
    values = combine(totals(columns))  # type: ignore[operator]
    found = branches(metric, values)
    assert found is not None
    extreme = found.of.min(axis=0) if found.kind == "least" else found.of.max(axis=0)
    assert extreme == pytest.approx(values[metric])
    assert branches("lms", values) is None


def test_a_gap_of_two_shares_alone_is_smooth() -> None:
    assert branches("accuracy_gap", {"accuracy_gap": np.array([1.0])}) is None


def test_a_largest_gap_counts_the_pairs_of_groups_that_it_chose_from() -> None:
    values = {f"emt_gap/{pair}": np.array([1.0]) for pair in ("a - b", "a - c", "b - c")}
    found = branches("emt_gap", {**values, "emt_gap": np.array([1.0]), "emt_gap/c - d": np.array([np.nan])})
    assert found is not None
    assert (found.comparisons, len(found.of)) == (3, 6)


def test_the_mean_over_runs_is_the_smallest_of_its_mixed_choices() -> None:
    """Slow twin: every run's smaller branch against the smallest mean over all choices."""
    runs = [np.random.default_rng(seed).normal(size=(2, 4)) for seed in range(5)]
    mixed = mixed_choices(runs, "least")
    assert len(mixed) == 32
    assert mixed[:, 0].min() == pytest.approx(np.mean([run[:, 0].min() for run in runs]))
    slow = [
        np.mean([run[choice, 0] for run, choice in zip(runs, chosen, strict=True)])
        for chosen in product((0, 1), repeat=5)
    ]
    assert sorted(mixed[:, 0]) == pytest.approx(sorted(slow))
    alike = [np.mean([run[place] for run in runs], axis=0) for place in (0, 1)]
    assert common_choices(runs) == pytest.approx(np.stack(alike))


def test_many_runs_choose_only_near_their_kink() -> None:
    runs = [np.array([[0.0], [float(gap)]]) for gap in range(1, 13)]
    mixed = mixed_choices(runs, "least")
    assert len(mixed) == 2**6
    assert mixed.min() == 0
    assert mixed.max() == pytest.approx(sum(range(1, 7)) / 12)


def test_of_a_single_run_the_bounds_are_those_of_its_smallest_branch() -> None:
    run = np.random.default_rng(1).normal(size=(2, 11))
    of = bounds(run, Design(np.ones(10)))
    alone = bounds_over("least", of, of)
    assert [float(end) for end in alone] == [float(end) for end in least(of)]
