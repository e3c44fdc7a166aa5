"""A line over models: known slopes, honest intervals, and none where too few points tell."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.slope import NORMAL, Point, half_width_error, line


def test_an_exact_line_is_found_exactly() -> None:
    found = line([Point(x, 3 - 2 * x, 0) for x in (8.0, 8.5, 10.0)])
    assert found is not None
    assert found.slope == pytest.approx((-2, -2, -2))
    assert found.at_largest == pytest.approx((-17, -17, -17))


def test_points_on_a_line_by_luck_are_as_uncertain_as_their_own_errors() -> None:
    """Sizes 8, 9 and 10: the slope is half the last less the first, so its error is that of one over the root of 2."""
    found = line([Point(x, x, 3) for x in (8, 9, 10)])
    assert found is not None
    reach = NORMAL * 3 / np.sqrt(2)
    assert found.slope == pytest.approx((1, 1 - reach, 1 + reach))


def test_scatter_around_the_line_widens_it_by_student_s_t() -> None:
    """Residuals 1, -2 and 1 with one degree of freedom: variance 6, of the slope 3; t is 12.706."""
    found = line([Point(8, 1, 0), Point(9, -2, 0), Point(10, 1, 0)])
    assert found is not None
    assert found.slope == pytest.approx((0, -12.706205 * np.sqrt(3), 12.706205 * np.sqrt(3)))


@pytest.mark.parametrize("sizes", [[], [8], [9, 9, 9]])
def test_one_size_has_no_line(sizes: list[float]) -> None:
    assert line([Point(x, 1, 1) for x in sizes]) is None


def test_two_points_have_a_slope_without_an_interval() -> None:
    found = line([Point(8, 1, 1), Point(10, 5, 1)])
    assert found is not None
    assert found.slope == (2, None, None)


def test_an_interval_stands_for_its_standard_error() -> None:
    assert half_width_error(-1, 3) == pytest.approx(2 / 1.96, rel=1e-4)


@pytest.mark.parametrize(
    ("sizes", "errors", "between"),
    [
        ([8, 9, 10], [1, 1, 1], 0),
        ([8, 9, 10], [1, 1, 1], 2),
        ([8, 8.5, 9.2, 10], [0.5, 0.5, 0.5, 3], 0),
        ([8, 8.1, 8.2, 8.3, 10], [0.3, 0.3, 0.3, 0.3, 2], 0.5),
        ([8, 8.4, 8.8, 9.2, 9.6, 10], [1] * 6, 1),
    ],
)
def test_intervals_hold_the_truth_in_at_least_95_of_100(
    sizes: list[float], errors: list[float], between: float
) -> None:
    """700 draws: a chance of 95% comes out above 93%; `between` is what models of one size differ by."""
    draws, truth, generator = 700, 0.7, np.random.default_rng(5)
    held = np.zeros(2)
    for _ in range(draws):
        moved = generator.normal(0, errors) + generator.normal(0, between, len(sizes))
        found = line([Point(x, truth * x + e, s) for x, e, s in zip(sizes, moved, errors, strict=True)])
        assert found is not None
        for place, (value, target) in enumerate(((found.slope, truth), (found.at_largest, truth * max(sizes)))):
            assert value.low is not None
            assert value.high is not None
            held[place] += value.low <= target <= value.high
    assert (held / draws).min() > 0.93
