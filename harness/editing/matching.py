"""How large a control has to be: as large as training was in what it did to perplexity, or in its norm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)

TOLERANCE = 0.02
"""Of the rise that is aimed at: a tenth of what passages leave uncertain about it."""

MOST_TRIES = 24
LARGEST = 1000.0
"""Times the first scale: where so much noise does less than training did, more of it will too."""

STEP = 4.0
"""A scale is at most so many times the one before while it is not known what lies on its other side."""

MARGIN = 0.1
"""A guess stays so far, as a share of the stretch on the logarithmic scale, from both ends of it."""


class Sized(NamedTuple):
    """A scale and the rise of log perplexity that it gives."""

    scale: float
    rise: float


def scale_for(rise: Callable[[float], float], target: float, start: float) -> Sized | None:
    """The scale whose `rise` is `target`, within `TOLERANCE` of it, by bisection on the logarithm of the scale.

    Stretches are cut where a power law between their ends would have the target: small noise raises perplexity by about
    its square, so that three or four tries do.

    Args:
        rise: of log perplexity at a scale, 0 at scale 0; it need not grow everywhere. A `FloatingPointError` counts as
            too much.
        target: above 0.
        start: the scale to try first.

    Returns:
        None where no scale up to `LARGEST` times `start` gives so much, or `MOST_TRIES` find none exactly enough.
    """
    low: Sized | None = None
    high: Sized | None = None
    scale = start
    for _ in range(MOST_TRIES):
        found = Sized(scale, _rise_or_too_much(rise, scale))
        log.debug("scale %.6g: log perplexity rises by %.6g of %.6g", *found, target)
        if abs(found.rise - target) <= TOLERANCE * target:
            return found
        if high is None and found.rise < target and scale >= LARGEST * start:
            return None
        low, high = (found, high) if found.rise < target else (low, found)
        scale = _next(low, high, target)
    return None


def _next(low: Sized | None, high: Sized | None, target: float) -> float:
    if low is not None and high is not None:
        part = 0.5
        if low.rise > 0 and math.isfinite(high.rise):
            part = math.log(target / low.rise) / math.log(high.rise / low.rise)
        stretch = math.log(high.scale / low.scale)
        return low.scale * math.exp(stretch * min(max(part, MARGIN), 1 - MARGIN))
    if low is not None:
        return low.scale * (min(math.sqrt(target / low.rise), STEP) if low.rise > 0 else STEP)
    assert high is not None
    return high.scale * max(math.sqrt(target / high.rise), 1 / STEP)


def _rise_or_too_much(rise: Callable[[float], float], scale: float) -> float:
    try:
        return rise(scale)
    except FloatingPointError:
        return math.inf
