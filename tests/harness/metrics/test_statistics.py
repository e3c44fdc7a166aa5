"""Known answers for sums over clusters and for Holm's rule: by hand, or by a textbook."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from harness.metrics.statistics import (
    Array,
    ClusterTable,
    check_matching,
    combined,
    estimate,
    holm,
    table_from,
    whole_and_left_out,
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
        ClusterTable(("a", "b"), ("x",), np.zeros((1, 2)), np.ones(2))


def test_estimate_is_the_metric_of_the_whole_table() -> None:
    table = table_of([1, 2, 9], ["a", "a", "b"])
    assert estimate(table, mean) == {"mean": 4.0}


def test_a_cluster_weighs_its_records_unless_told_otherwise() -> None:
    assert table_from(["b", "a", "b"], {"x": [1, 2, 4]}).sizes.tolist() == [1, 2]
    assert table_from(["b", "a", "b"], {"x": [1, 2, 4]}, sizes=[10, 3, 20]).sizes.tolist() == [3, 30]


def test_each_cluster_is_left_out_as_if_it_had_never_been_scored() -> None:
    generator = np.random.default_rng(3)
    keys = [f"{number % 7}" for number in range(40)]
    values = generator.normal(size=40).tolist()
    table = table_of(values, keys)
    fast = combined(table.columns, whole_and_left_out(table.sums), mean)["mean"]
    for place, cluster in enumerate(table.clusters):
        kept = [value for value, key in zip(values, keys, strict=True) if key != cluster]
        assert fast[1 + place] == pytest.approx(sum(kept) / len(kept), abs=1e-12)
    assert fast[0] == pytest.approx(sum(values) / 40, abs=1e-12)


def test_other_clusters_before_and_after_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clusters differ: 2 and 2.*'b', 'c'.*same items"):
        check_matching([table_of([1, 2], ["a", "b"]), table_of([1, 2], ["a", "c"])])
    with pytest.raises(ValueError, match="columns differ"):
        check_matching([table_of([1.0]), table_from(["00000"], {"x": [1.0]})])
    with pytest.raises(ValueError, match="nothing to compare"):
        check_matching([table_of([])])


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
