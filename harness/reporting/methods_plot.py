"""The picture of effect against cost: what each method changed, and what perplexity it took, with both intervals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.reporting.compared_schema import MeasureChange, MethodComparison, Treatment
from harness.reporting.methods import RANKED
from harness.reporting.methods_page import called, change_of
from harness.reporting.plot import COLOURS, FAINT, saved, short, styled
from harness.reporting.plot_labels import Named, height_for, name_points
from harness.reporting.schema import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("ss", "abs_logprob_diff")
_UNITS = {"ss": "points", "abs_logprob_diff": "nats"}
_PANEL = 3.3  # inches, at least


class Point(NamedTuple):
    """A method, or its placebo, in one panel."""

    treatment: Treatment
    colour: str
    cost: MeasureChange
    effect: MeasureChange


def methods_svg(report: Report) -> str | None:
    """One SVG document with a row of panels for each model, a panel for each measure; None where nothing can be drawn.

    Left out are methods that broke the model, whose bias scores show nothing, and those without perplexity.
    """
    rows = [
        [(found, metric, points) for metric in SHOWN if (points := points_of(found, metric))]
        for found in report.comparisons
    ]
    rows = [row for row in rows if row]
    if not rows:
        return None
    from matplotlib.figure import Figure

    heights = [height_for(max(len(points) for _, _, points in row), _PANEL) for row in rows]
    names = [name for found in report.comparisons for name in (found.model, *map(called, found.treatments))]
    with styled(names):
        figure = Figure(figsize=(10.4, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(rows), max(map(len, rows)), height_ratios=heights)
        for place, row in enumerate(rows):
            for column, (found, metric, points) in enumerate(row):
                axes = figure.add_subplot(grid[place, column])
                model = "" if len(rows) == 1 else f"{short(found.model)}: "
                title = f"{model}change of {RANKED[metric]}, {_UNITS[metric]}"
                _panel(axes, points, f"{title[0].upper()}{title[1:]}" if not model else title, heights[place])
        return saved(figure)


def points_of(found: MethodComparison, metric: str) -> list[Point]:
    """What is drawn of a model on one measure."""
    methods = dict.fromkeys(one.method for one in found.treatments)
    broken = {one.method for one in found.treatments if one.control is None and one.retention == "broken"}
    colours = dict(zip(methods, itertools.cycle(COLOURS), strict=False))
    return [
        Point(one, colours[one.method], cost, effect)
        for one in found.treatments
        if one.method not in broken
        and (cost := change_of(one, "word_perplexity"))
        and (effect := change_of(one, metric))
    ]


def _panel(axes: Axes, points: Sequence[Point], title: str, inches: float) -> None:
    axes.set_title(title)
    axes.set_xlabel("change of word perplexity, %")
    for line in (axes.axhline, axes.axvline):
        line(0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    for point in points:
        x, y = _percent(point.cost.change), point.effect.change
        if point.cost.low is not None and point.cost.high is not None:
            ends = (_percent(point.cost.low), _percent(point.cost.high))
            axes.hlines(y, *ends, color=point.colour, linewidth=1.2, alpha=0.55)
        if point.effect.low is not None and point.effect.high is not None:
            axes.vlines(x, point.effect.low, point.effect.high, color=point.colour, linewidth=1.2, alpha=0.55)
        face = "white" if point.treatment.control else point.colour
        marker = "D" if point.treatment.control else "o"
        axes.plot(x, y, marker, color=point.colour, markerfacecolor=face, markersize=6.5, zorder=3)
    axes.margins(0.08)
    named = [
        Named(called(point.treatment), _percent(point.cost.change), point.effect.change, point.colour)
        for point in points
    ]
    name_points(axes, named, inches)


def _percent(ratio: float) -> float:
    return 100 * (ratio - 1)
