"""Names beside the points of a picture, each on a line of its own: never over each other, however near the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.reporting.plot import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.22
"""Inches that a name takes."""
_ROUND_PANEL = 0.9
"""Inches of a panel's height that title and axis take."""


class Named(NamedTuple):
    """A point in data units, and what to call it."""

    name: str
    x: float
    y: float
    colour: str


def height_for(names: int, least: float) -> float:
    """Inches of a panel that has room for so many names."""
    return max(least, _ROUND_PANEL + 0.3 + LINE * names)


def name_points(axes: Axes, points: Sequence[Named], inches: float) -> None:
    """Names in a column at the right, in the points' order from below, each tied to its point.

    Args:
        axes: with its limits as they will stay.
        inches: height of the panel.
    """
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: (point.y, point.name))
    wanted = [(point.y - low) / (high - low) for point in ordered]
    for point, place in zip(ordered, spread_apart(wanted, LINE / (inches - _ROUND_PANEL), 0.03, 0.97), strict=True):
        axes.annotate(
            short(point.name),
            (point.x, point.y),
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            color=point.colour,
            arrowprops={"arrowstyle": "-", "color": point.colour, "linewidth": 0.5, "alpha": 0.5, "shrinkB": 4},
        )


def spread_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels, each as near to the one that it wants as leaves `gap` between every two.

    Args:
        wanted: ascending.
        low: the lowest place.
        high: the highest; given way to only where the labels need more than there is.
    """
    places: list[float] = []
    for want in wanted:
        places.append(max(want, places[-1] + gap if places else low))
    top = max(high, low + gap * (len(places) - 1))
    for place in range(len(places) - 1, -1, -1):
        places[place] = min(places[place], top)
        top = places[place] - gap
    return places
