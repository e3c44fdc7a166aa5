"""A control is found that does as much as training did, whatever the curve between scale and perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.editing.matching import LARGEST, MOST_TRIES, TOLERANCE, scale_for


@pytest.mark.parametrize("start", [0.005, 0.1, 50.0])
@pytest.mark.parametrize(
    "rise",
    [lambda scale: scale**2, lambda scale: scale**2 - 0.01 * scale, lambda scale: math.expm1(min(scale, 700.0))],
)
def test_the_scale_whose_rise_is_the_target_is_found_from_any_start(
    rise: Callable[[float], float], start: float
) -> None:
    for target in (0.003, 0.03, 1.5):
        found = scale_for(rise, target, start)
        assert found is not None
        assert found.rise == rise(found.scale)
        assert found.rise == pytest.approx(target, rel=TOLERANCE)


def test_three_tries_do_where_perplexity_rises_by_the_square() -> None:
    tried: list[float] = []

    def rise(scale: float) -> float:
        tried.append(scale)
        return scale**2 + scale**3

    assert scale_for(rise, 0.03, start=0.01) is not None
    assert len(tried) <= 4


def test_weights_that_overflow_count_as_too_much() -> None:
    def rise(scale: float) -> float:
        if scale > 0.5:
            raise FloatingPointError("log-likelihood is nan")
        return scale

    found = scale_for(rise, 0.4, start=8.0)
    assert found is not None
    assert found.scale == pytest.approx(0.4, rel=TOLERANCE)


def test_a_rise_that_no_scale_gives_ends_the_search() -> None:
    tried: list[float] = []

    def rise(scale: float) -> float:
        tried.append(scale)
        return 1 - math.exp(-scale)

    assert scale_for(rise, 2.0, start=1.0) is None
    assert max(tried) >= LARGEST
    assert len(tried) < MOST_TRIES
