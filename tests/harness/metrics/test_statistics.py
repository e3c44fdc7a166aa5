"""Known answers for the statistics: every expected number is computed by hand, by a textbook, or by a slow twin."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from harness.metrics.statistics import (
    Array,
    ClusterTable,
    Interval,
    bootstrap,
    estimate,
    holm,
    mcnemar,
    p_value,
    paired_bootstrap,
    percentile_interval,
    replicates,
    table_from,
)


def mean(columns: Mapping[str, Array]) -> dict[str, Array]:
    return {"mean": columns["sum"] / columns["n"]}


def table_of(values: Array | list[float], keys: list[str] | None = None) -> ClusterTable:
    return table_from(
        keys or [f"{number:05}" for number in range(len(values))],
        {"sum": list(values), "n": [1.0] * len(values)},
    )


def test_table_sums_per_cluster_whatever_the_order_of_records() -> None:
    table = table_from(["b", "a", "b"], {"x": [1, 2, 4], "n": [1, 1, 1]})
    assert table.clusters == ("a", "b")
    assert table.columns == ("x", "n")
    assert table.sums.tolist() == [[2, 1], [5, 2]]
    again = table_from(["b", "b", "a"], {"x": [4, 1, 2], "n": [1, 1, 1]})
    assert again.sums.tolist() == table.sums.tolist()


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'x' has 1 values for 2 records"):
        table_from(["a", "b"], {"x": [1.0]})
    with pytest.raises(ValueError, match="2 clusters and 1 columns"):
        ClusterTable(("a", "b"), ("x",), np.zeros((1, 2)))


def test_estimate_is_the_metric_of_the_whole_table() -> None:
    table = table_of([1, 2, 9], ["a", "a", "b"])
    assert estimate(table, mean) == {"mean": 4.0}


def test_bootstrap_equals_a_slow_loop_over_resamples() -> None:
    generator = np.random.default_rng(3)
    table = table_of(generator.normal(size=40), [f"{number % 9}" for number in range(40)])
    twin = np.random.default_rng(7)
    slow = []
    for _ in range(500):
        rows = [table.sums[int(place)] for place in twin.integers(9, size=9)]
        slow.append(sum(row[0] for row in rows) / sum(row[1] for row in rows))
    fast = replicates([table], mean, resamples=500, seed=7)[0]["mean"]
    assert fast == pytest.approx(np.array(slow), abs=1e-12)
    expected = Interval(float(np.quantile(slow, 0.025)), float(np.quantile(slow, 0.975)))
    assert bootstrap(table, mean, resamples=500, seed=7)["mean"] == pytest.approx(expected, abs=1e-12)


def test_the_chunk_size_does_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(np.arange(30.0))
    whole = replicates([table], mean, resamples=300)[0]["mean"]
    monkeypatch.setattr("harness.metrics.statistics._CELLS_A_CHUNK", 70)
    assert replicates([table], mean, resamples=300)[0]["mean"] == pytest.approx(whole, abs=1e-12)


def test_interval_of_a_mean_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, size=800)
    interval = bootstrap(table_of(values), mean)["mean"]
    assert interval is not None
    half = 1.959964 * values.std() / math.sqrt(800)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)


def test_interval_widens_with_clusters_as_theory_says() -> None:
    """Ten copies of each value in one cluster: the interval must be that of the 60 clusters, not of 600 items."""
    values = np.random.default_rng(1).normal(size=60)
    keys = [f"{number:02}" for number in range(60)]
    once = bootstrap(table_of(values, keys), mean)["mean"]
    copied = bootstrap(table_of(np.repeat(values, 10), [key for key in keys for _ in range(10)]), mean)["mean"]
    assert once == pytest.approx(copied, abs=1e-12)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    """400 seeded data sets of 60 clusters with a shared effect: 95% nominal; 92 to 97 allows for 60 clusters."""
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        effects = generator.normal(size=60)
        sizes = generator.integers(1, 6, size=60)
        keys = [f"{number:02}" for number in range(60) for _ in range(sizes[number])]
        values = np.repeat(effects, sizes) + generator.normal(size=len(keys))
        interval = bootstrap(table_of(values, keys), mean, resamples=600)["mean"]
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / 400 <= 0.97


def test_an_undefined_metric_has_no_interval() -> None:
    def undefined(columns: Mapping[str, Array]) -> dict[str, Array]:
        return {"never": columns["sum"] * np.nan, **mean(columns)}

    table = table_of([1.0, 2.0, 3.0])
    assert estimate(table, undefined) == {"never": None, "mean": 2.0}
    assert bootstrap(table, undefined)["never"] is None
    assert bootstrap(table, undefined)["mean"] is not None
    assert paired_bootstrap(table, table, undefined)["never"] is None


def test_a_metric_that_most_resamples_define_ignores_the_rest() -> None:
    drawn = np.array([np.nan] * 3 + [1.0] * 97)
    assert percentile_interval(drawn) == Interval(1.0, 1.0)
    assert percentile_interval(np.array([np.nan] * 6 + [1.0] * 94)) is None
    assert percentile_interval(np.array([])) is None


def test_one_cluster_gives_no_interval_rather_than_one_of_width_zero() -> None:
    table = table_of([1.0, 3.0], ["a", "a"])
    assert bootstrap(table, mean)["mean"] is None
    paired = paired_bootstrap(table, table_of([2.0, 4.0], ["a", "a"]), mean)["mean"]
    assert paired is not None
    assert paired.value == 1.0
    assert paired.interval is None
    assert paired.p_value is None


def test_pairing_removes_what_both_share() -> None:
    """The same large spread before and after plus a constant 1: the difference is 1 in every resample."""
    values = np.random.default_rng(2).normal(0, 100, size=50)
    paired = paired_bootstrap(table_of(values), table_of(values + 1), mean)["mean"]
    assert paired is not None
    assert paired.interval is not None
    assert paired.value == pytest.approx(1)
    assert paired.interval == pytest.approx((1, 1))
    assert paired.p_value == pytest.approx(2 / 10_001)


def test_p_value_is_uniform_when_nothing_changed() -> None:
    """Under no difference the share of p values below 5% is near 5% (300 seeded experiments, 3 standard errors)."""
    generator = np.random.default_rng(5)
    significant = 0
    for _ in range(300):
        before, after = generator.normal(size=(2, 80))
        paired = paired_bootstrap(table_of(before), table_of(after), mean, resamples=500)["mean"]
        assert paired is not None
        assert paired.p_value is not None
        significant += paired.p_value < 0.05
    assert 0.015 <= significant / 300 <= 0.09


def test_identical_tables_have_p_1() -> None:
    table = table_of([1.0, 2.0, 4.0])
    paired = paired_bootstrap(table, table, mean)["mean"]
    assert paired is not None
    assert paired.p_value == 1.0
    assert p_value(np.array([1.0, 1.0, -1.0]), clusters=50) == 1.0


def test_three_clusters_that_agree_are_no_strong_evidence() -> None:
    """Every resample is negative, yet three of three in one direction happens by chance in 1 of 4 cases."""
    paired = paired_bootstrap(table_of([5.0, 6.0, 7.0]), table_of([4.0, 4.0, 6.0]), mean)["mean"]
    assert paired is not None
    assert paired.interval is not None
    assert paired.interval.high < 0
    assert paired.p_value == 0.25


def test_paired_p_value_agrees_with_the_t_test() -> None:
    generator = np.random.default_rng(8)
    before = generator.normal(size=200)
    after = before + generator.normal(0.12, 1, size=200)
    paired = paired_bootstrap(table_of(before), table_of(after), mean)["mean"]
    assert paired is not None
    assert paired.p_value == pytest.approx(stats.ttest_rel(after, before).pvalue, abs=0.02)


def test_other_clusters_before_and_after_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clusters differ: 2 and 2.*'b', 'c'.*same items"):
        paired_bootstrap(table_of([1, 2], ["a", "b"]), table_of([1, 2], ["a", "c"]), mean)
    with pytest.raises(ValueError, match="columns differ"):
        paired_bootstrap(table_of([1.0]), table_from(["00000"], {"x": [1.0]}), mean)
    with pytest.raises(ValueError, match="nothing to resample"):
        replicates([table_of([])], mean)


def test_mcnemar_is_the_binomial_test_of_the_changed_choices() -> None:
    """Two gained, eight lost, the rest unchanged: p = 2 (1 + 10 + 45) / 1024."""
    before = [False] * 2 + [True] * 8 + [True] * 30 + [False] * 20
    after = [True] * 2 + [False] * 8 + [True] * 30 + [False] * 20
    assert mcnemar(before, after) == pytest.approx(112 / 1024)
    assert mcnemar(after, before) == pytest.approx(112 / 1024)


def test_mcnemar_equals_statsmodels_and_scipy() -> None:
    from statsmodels.stats.contingency_tables import mcnemar as reference

    generator = np.random.default_rng(4)
    before = generator.random(500) < 0.5
    after = np.where(generator.random(500) < 0.3, generator.random(500) < 0.6, before)
    table = [[np.sum(before & after), np.sum(before & ~after)], [np.sum(~before & after), 0]]
    expected = reference(table, exact=True).pvalue
    assert mcnemar(list(before), list(after)) == pytest.approx(expected)
    gained, changed = int(np.sum(~before & after)), int(np.sum(before != after))
    assert expected == pytest.approx(stats.binomtest(gained, changed).pvalue)


def test_mcnemar_without_any_change_is_1_and_unequal_lengths_are_refused() -> None:
    assert mcnemar([True, False], [True, False]) == 1.0
    assert mcnemar([], []) == 1.0
    with pytest.raises(ValueError, match="2 choices before and 1 after"):
        mcnemar([True, False], [True])


def test_holm_on_the_textbook_example() -> None:
    """p = 0.01, 0.04, 0.03, 0.005 -> times 4, 3, 2, 1 in order of size, made monotone."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_holm_equals_statsmodels_and_never_exceeds_1() -> None:
    from statsmodels.stats.multitest import multipletests

    values = np.random.default_rng(6).random(9) ** 2
    adjusted = holm({str(place): float(value) for place, value in enumerate(values)})
    assert list(adjusted.values()) == pytest.approx(list(multipletests(values, method="holm")[1]))
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
