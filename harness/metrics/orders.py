"""What the order of three options does to the answers: the place that is chosen too often, and answers that change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from harness.metrics.aggregation import ratio
from harness.metrics.statistics import Array

POSITIONS = tuple(f"position_share/{place}" for place in (1, 2, 3))


class Ordered(Protocol):
    """One item asked once: its options in the order shown, and those that were chosen, several where they are level."""

    @property
    def order(self) -> Sequence[Any]: ...

    @property
    def chosen(self) -> tuple[Any, ...]: ...


def place_columns(asked: Sequence[Sequence[Ordered]]) -> dict[str, Sequence[float]]:
    """Columns of a table of items, from each item's answers in all orders in which it was asked."""
    return {
        "reordered": [len(answers) > 1 for answers in asked],
        "flipped": [_flips([one.chosen for one in answers]) for answers in asked],
        **{
            name: [sum(_share_at(one, place) for one in answers) for answers in asked]
            for place, name in enumerate(POSITIONS)
        },
    }


def place_metrics(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Percent, from the sums of `place_columns`, any leading shape; nan where undefined.

    `position_share/1..3` are the answers at each position, letters that are level sharing one, `position_bias` how far
    the most frequent one is above a third, `order_flips` the items, asked more than once, whose answer (or having none)
    changes with the order.
    """
    places = np.stack([columns[name] for name in POSITIONS])
    shares = 100 * ratio(places, places.sum(axis=0))
    return {
        "position_bias": shares.max(axis=0) - 100 / 3,
        "order_flips": 100 * ratio(columns["flipped"], columns["reordered"]),
        **dict(zip(POSITIONS, shares, strict=True)),
    }


def _flips(chosen: Sequence[tuple[Any, ...]]) -> bool:
    return any(chosen) and not set(chosen[0]).intersection(*chosen[1:])


def _share_at(one: Ordered, place: int) -> float:
    return (one.order[place] in one.chosen) / max(1, len(one.chosen))
