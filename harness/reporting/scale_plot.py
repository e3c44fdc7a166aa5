"""The picture of size: what each method does, and how biased the bases are, against the number of parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.metrics.formatting import parameters
from harness.reporting.methods import RANKED
from harness.reporting.plot import COLOURS, FAINT, saved, short, styled
from harness.reporting.plot_labels import Named, height_for, name_points
from harness.reporting.scale_schema import Scale, SizeFit, SizePoint
from harness.reporting.schema import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("ss", "abs_logprob_diff")
_PANEL = 3.0  # inches, at least
_ASIDE = 0.012  # decades: keeps the whiskers of several methods apart
_BASES = "#444444"


def scale_svg(report: Report) -> str | None:
    """One SVG document: a row of panels for effects, and one for the bases; None where no two models have sizes.

    A line stands only where its slope's interval excludes no change.
    """
    rows = [[(metric, found) for metric in SHOWN if (found := _drawn(report, of, metric))] for of in ("effect", "base")]
    rows = [row for row in rows if row]
    if not rows:
        return None
    from matplotlib.figure import Figure

    heights = [height_for(max(_names(found) for _, found in row), _PANEL) for row in rows]
    names = [name for one in report.scale for name in (one.method or "", *(point.model for point in one.points))]
    with styled(names):
        figure = Figure(figsize=(10.4, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(rows), max(map(len, rows)), height_ratios=heights)
        colours = _colours(report.scale)
        for place, row in enumerate(rows):
            for column, (metric, found) in enumerate(row):
                _panel(figure.add_subplot(grid[place, column]), metric, found, colours, heights[place])
        return saved(figure)


def _drawn(report: Report, of: str, metric: str) -> list[Scale]:
    found = [one for one in report.scale if (one.of, one.metric) == (of, metric) and one.points]
    return found if len({point.parameters for one in found for point in one.points}) > 1 else []


def _names(found: Sequence[Scale]) -> int:
    return max(len(one.points) for one in found) if found[0].of == "base" else len(found)


def _colours(found: Sequence[Scale]) -> Mapping[str | None, str]:
    methods = dict.fromkeys(one.method for one in found if one.of == "effect")
    return dict(zip(methods, itertools.cycle(COLOURS), strict=False))


def _panel(axes: Axes, metric: str, found: Sequence[Scale], colours: Mapping[str | None, str], inches: float) -> None:
    effects = found[0].of == "effect"
    unit = ("after / before" if effects else "nats") if found[0].is_factor else "points"
    axes.set_title(f"{'Effect on' if effects else 'Bases:'} {RANKED[metric]}, {unit}")
    axes.set_xlabel("parameters")
    axes.set_xscale("log")
    if effects:
        axes.axhline(1 if found[0].is_factor else 0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    for place, one in enumerate(found):
        colour = colours[one.method] if effects else _BASES
        aside = 10 ** ((place - (len(found) - 1) / 2) * _ASIDE)
        for point in one.points:
            x = point.parameters * aside
            axes.vlines(x, point.low, point.high, color=colour, linewidth=1.2, alpha=0.55)
            axes.plot(x, point.value, "o", color=colour, markersize=5.5, zorder=3)
        if one.fits and one.fits[0].trend != "cannot tell":
            axes.plot(*_line(one, one.fits[0]), color=colour, linewidth=1.2)
    _sizes(axes, found)
    name_points(axes, _named(found, colours), inches)


def _line(found: Scale, fit: SizeFit) -> tuple[list[float], list[float]]:
    """A line in the unit of the points; where these are factors it is straight in their logarithms."""
    assert fit.slope is not None
    assert fit.at_largest is not None
    sizes = [point.parameters for point in found.points]
    steps = [min(sizes) * (max(sizes) / min(sizes)) ** (place / 20) for place in range(21)]
    decades = [math.log10(size / max(sizes)) for size in steps]
    if found.is_factor:
        return steps, [fit.at_largest * fit.slope**decade for decade in decades]
    return steps, [fit.at_largest + fit.slope * decade for decade in decades]


def _sizes(axes: Axes, found: Sequence[Scale]) -> None:
    """Ticks at the sizes of the models, those left out that would stand in another's way."""
    sizes = sorted({point.parameters for one in found for point in one.points})
    least = math.log10(sizes[-1] / sizes[0]) / 7
    ticks = sizes[:1]
    for size in sizes[1:]:
        if math.log10(size / ticks[-1]) >= least:
            ticks.append(size)
    axes.set_xticks(ticks, [parameters(size) for size in ticks])
    axes.minorticks_off()
    axes.margins(0.08)


def _named(found: Sequence[Scale], colours: Mapping[str | None, str]) -> list[Named]:
    """Bases by the names of the models, and methods by theirs at their largest model."""
    if found[0].of == "base":
        return [Named(short(point.model), point.parameters, point.value, _BASES) for point in found[0].points]
    ends: list[tuple[Scale, SizePoint]] = [(one, max(one.points, key=lambda point: point.parameters)) for one in found]
    return [Named(one.method or "training", point.parameters, point.value, colours[one.method]) for one, point in ends]
