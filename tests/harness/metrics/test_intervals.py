"""Known answers for intervals and p values: by hand, by a textbook's test, by a slow twin, and by simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from harness.metrics.intervals import Bounds, Design, Units, bounds, distance_change, largest, least, spread, stacked
from harness.metrics.statistics import Array


def rows_of(values: Sequence[float] | Array, sizes: Sequence[float] | Array | None = None) -> Array:
    """A mean over clusters of these values, weighed by their sizes, and the same without each."""
    found, size = np.asarray(values, dtype=float), np.ones(len(values)) if sizes is None else np.asarray(sizes, float)
    kept = [np.ones(len(found), dtype=bool), *(np.arange(len(found)) != place for place in range(len(found)))]
    return np.array([(found[keep] * size[keep]).sum() / size[keep].sum() for keep in kept])


def design_of(values: Sequence[float] | Array) -> Design:
    return Design(np.ones(len(values)))


def test_the_mean_of_equal_clusters_has_the_t_test_s_interval_and_p() -> None:
    values = np.random.default_rng(0).uniform(-1, 1.5, size=25)
    found = bounds(rows_of(values), design_of(values))
    expected = stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_unequal_clusters_by_hand() -> None:
    """Sums 2, 0, 4 over 1, 1, 2 items: mean 1.5; without each 4/3, 2, 1; squares 1/36, 1/4, 1/4, times 2/3.

    Degrees of freedom by size: 16/6 - 1 = 1.667; by the squares: 3 (19/36)^2 / (1/1296 + 1/8) - 1 = 5.65.
    """
    rows = rows_of([2, 0, 2], [1, 1, 2])
    assert rows == pytest.approx([1.5, 4 / 3, 2, 1])
    value, error, df = spread(rows, Design(np.array([1.0, 1.0, 2.0])))
    assert value == 1.5
    assert error == pytest.approx(math.sqrt(2 / 3 * 19 / 36))
    assert df == pytest.approx(5 / 3)


def test_one_cluster_that_carries_all_the_spread_lowers_the_degrees_of_freedom() -> None:
    values = [50.0] * 19 + [90.0]
    _, _, df = spread(rows_of(values), design_of(values))
    assert 1 <= df < 4


@pytest.mark.parametrize("shift", np.linspace(-1, 1, 9).tolist())
def test_p_is_below_5_percent_exactly_where_the_interval_excludes_0(shift: float) -> None:
    values = np.random.default_rng(1).normal(shift, 1, size=12)
    base = np.random.default_rng(2).normal(0.5, 1, size=12)
    design = design_of(values)
    for found in (
        bounds(rows_of(values), design),
        distance_change(rows_of(values + base), rows_of(base), 0.2, design),
        largest(stacked([bounds(rows_of(values), design), bounds(rows_of(base), design)])),
    ):
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)


def test_a_percentage_stays_within_0_and_100_and_a_magnitude_above_0() -> None:
    values = [100.0, 100, 100, 100, 100, 100, 100, 88]
    found = bounds(rows_of(values), design_of(values), scale="logit")
    assert 60 < found.low < 98.5 < found.high < 100
    sizes = [0.1, 0.2, 0.1, 4]
    wide = bounds(rows_of(sizes), design_of(sizes), scale="log")
    assert 0 < wide.low < 1.1 < wide.high
    # Symmetric on its scale: low x high = value squared, odds of low x odds of high = odds of the value squared.
    assert wide.low * wide.high == pytest.approx(1.1**2)
    odds = found.low / (100 - found.low) * found.high / (100 - found.high)
    assert odds == pytest.approx((98.5 / 1.5) ** 2)


def test_clusters_that_all_agree_prove_what_a_sign_test_proves() -> None:
    few, many = (bounds(rows_of([-1.5] * count), design_of([0.0] * count)) for count in (3, 10))
    assert few.p_value == 0.25
    assert np.isnan(few.low)
    assert many.p_value == pytest.approx(2 / 2**10)
    assert (many.low, many.high) == (-1.5, -1.5)
    nothing = bounds(rows_of([0.0] * 10), design_of([0.0] * 10))
    assert (nothing.p_value, nothing.low, nothing.high) == (1, 0, 0)


def test_a_rate_that_is_0_or_100_everywhere_is_known_to_what_so_many_clusters_tell() -> None:
    """If the rate were m percent at most a share 1 - m/100 of clusters could show 0: all 10 do at 2.5% for m = 30.8."""
    never, always = (bounds(rows_of([rate] * 10), design_of([0.0] * 10), scale="logit") for rate in (0.0, 100.0))
    assert (never.low, never.high) == (0, pytest.approx(100 * (1 - 0.025**0.1)))
    assert (always.low, always.high) == (pytest.approx(100 * 0.025**0.1), 100)


def test_rounding_is_no_evidence() -> None:
    before = np.array([66.7, 33.3, 12.1, 99.9, 45.6, 10.01, 20.02])
    found = bounds(rows_of(before + 0.1) - rows_of(before) - 0.1, design_of(before))
    assert found.p_value == 1


def test_a_move_from_57_to_44_is_no_fall_and_one_from_57_to_50_is() -> None:
    noise = np.random.default_rng(3).normal(0, 4, size=(2, 40))
    before, over, at = 57 + noise[0], 44 + noise[1], 50 + noise[1]
    design = design_of(before)
    passed = distance_change(rows_of(over), rows_of(before), 50, design)
    assert bounds(rows_of(over) - rows_of(before), design).p_value < 1e-6
    assert passed.p_value > 0.05
    assert passed.low < -1 < passed.high
    assert distance_change(rows_of(at), rows_of(before), 50, design).high < 0


@pytest.mark.parametrize(("before", "after", "expected"), [
    (57, 52, -5), (57, 44, -1), (57, 41, 2), (43, 48, -5), (43, 58, 1), (50, 45, 5), (50, 50, 0),
])  # fmt: skip
def test_distance_intervals_close_in_on_the_true_change(before: float, after: float, expected: float) -> None:
    """With almost no noise the interval is the number itself, worked out by hand, on either side of 50."""
    noise = 1e-4 * np.random.default_rng(4).normal(size=(2, 20))
    found = distance_change(rows_of(after + noise[0]), rows_of(before + noise[1]), 50, design_of(noise[0]))
    assert found.low == pytest.approx(expected, abs=1e-3)
    assert found.high == pytest.approx(expected, abs=1e-3)


def test_the_distance_s_interval_is_all_that_the_box_of_change_and_sum_allows() -> None:
    """Slow twin: |after - 50| - |before - 50| over a fine grid of the two smooth intervals."""
    noise = np.random.default_rng(5).normal(0, 5, size=(2, 15))
    for start, end in ((58, 52), (52, 49), (44, 55), (51, 60)):
        after, before, design = rows_of(end + noise[0]), rows_of(start + noise[1]), design_of(noise[0])
        x, y = bounds(after - before, design), bounds(after + before - 100, design)
        grid = [
            abs((total + change) / 2) - abs((total - change) / 2)
            for change in np.linspace(x.low, x.high, 201)
            for total in np.linspace(y.low, y.high, 201)
        ]
        found = distance_change(after, before, 50, design)
        assert (found.low, found.high) == pytest.approx((min(grid), max(grid)), abs=0.15)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_small_change_is_a_small_change_of_the_distance_on_whichever_side(share: float) -> None:
    """Near 50 nobody knows the side, and a change of nothing is one of nothing on either."""
    noise = np.random.default_rng(6).normal(0, 5, size=(2, 15))
    before, after = 51 + noise[0], 51 + noise[0] + share * noise[1]
    design = design_of(noise[0])
    x, found = (
        bounds(rows_of(after) - rows_of(before), design),
        distance_change(rows_of(after), rows_of(before), 50, design),
    )
    assert max(abs(found.low), abs(found.high)) <= max(abs(x.low), abs(x.high))
    assert (found.low, found.high) == (0, 0) or share


def test_least_and_largest_mirror_each_other() -> None:
    one, other = Bounds(*np.array([1.0, 3, 0.01, 0.99])), Bounds(*np.array([2.0, 5, 0.2, 0.8]))
    assert tuple(least(stacked([one, other]))) == (1, 3, 0.2, 0.8)
    assert tuple(-largest(stacked([-one, -other]))) == (1, 3, 0.2, 0.8)


def test_runs_that_agree_on_every_item_add_nothing() -> None:
    values = np.random.default_rng(6).normal(size=12)
    alone = spread(rows_of(values), design_of(values))
    units = Units(np.full(3, 1 / 3), left_out=False)
    thrice = spread(np.tile(rows_of(values), 4), Design(np.ones(12), (units,)))
    assert [float(one) for one in thrice] == pytest.approx([float(one) for one in alone])


def test_what_runs_lie_apart_is_added_by_hand() -> None:
    """Runs at -1, 0 and 2 points of their mean on every item: variance 7/3 over 3 runs, on top of the items'."""
    values = np.random.default_rng(7).normal(size=12)
    alone = spread(rows_of(values), design_of(values))
    apart = np.array([-1.0, 0.0, 2.0])
    runs = [rows_of(values + shift) for shift in apart]
    whole = np.mean(runs, axis=0)
    found = spread(np.concatenate([whole, *runs]), Design(np.ones(12), (Units(np.full(3, 1 / 3), left_out=False),)))
    training = apart.var(ddof=1) / 3
    assert found.error == pytest.approx(math.sqrt(alone.error**2 + training))
    expected = (alone.error**2 + training) ** 2 / (alone.error**4 / alone.df + training**2 / 2)
    assert found.df == pytest.approx(expected)


def test_noise_of_a_run_s_own_items_is_not_counted_as_training_too() -> None:
    """Runs whose items differ at random without any training effect: on average nothing is added."""
    generator, added = np.random.default_rng(8), []
    for _ in range(150):
        runs = [rows_of(values) for values in generator.normal(size=(4, 30))]
        whole = np.mean(runs, axis=0)
        design = Design(np.ones(30), (Units(np.full(4, 0.25), left_out=False),))
        alone = spread(whole, Design(np.ones(30)))
        added.append(spread(np.concatenate([whole, *runs]), design).error ** 2 / alone.error**2)
    # Below 0 counts as 0, so that it is a little above 1; without the correction it would be 2.
    assert 1.1 < np.mean(added) < 1.5


def test_folds_of_other_items_count_where_they_vary_more_than_their_items_explain() -> None:
    values, fold_of = np.random.default_rng(9).normal(size=24), np.arange(24) % 4
    values -= np.array([values[fold_of == fold].mean() for fold in range(4)])[fold_of]
    units = Units(np.full(4, 0.25), left_out=True)

    def judged(shifted: Array) -> tuple[float, float]:
        without = [shifted[fold_of != fold].mean() for fold in range(4)]
        rows = np.concatenate([rows_of(shifted), without])
        alone = spread(rows[:25], Design(np.ones(24)))
        return float(spread(rows, Design(np.ones(24), (units,))).error), float(alone.error)

    error, items = judged(values)
    assert error == pytest.approx(items)
    apart = np.array([-6.0, -2.0, 2.0, 6.0])
    error, items = judged(values + apart[fold_of])
    means = [(values + apart[fold_of])[fold_of == fold].mean() for fold in range(4)]
    assert error == pytest.approx(np.std(means, ddof=1) / 2)
    assert error > 1.5 * items
