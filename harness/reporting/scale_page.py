"""Effects and bias against the size of models, as a section of report.html."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.formatting import NOTHING, parameters, signed
from harness.reporting.markup import Html, bullets, element, table
from harness.reporting.methods import RANKED
from harness.reporting.scale_schema import Scale, SizeFit, SizePoint
from harness.reporting.scale_text import first_sentence

NOTE = (
    "A least squares line over the logarithm of the number of parameters, each model counted alike. Its 95% interval "
    "is the wider of two: what the scatter of the models around the line says, with a t quantile, and what the "
    "intervals of the models say. Fewer than three models have none. A line over several families of models may show "
    "how families differ and not what size does; those within one stand beside it. |d| is told by factors: after / "
    "before, or nats of a base. Each interval is about one line; of many, some exclude no change by chance. The "
    "picture has a line only where its slope's interval excludes no change."
)


def section(found: Sequence[Scale]) -> list[Html]:
    """What follows, the lines, and the models that they go through."""
    lines = [[*_named(one), *_fit(one, fit)] for one in found for fit in one.fits]
    header = ["of", "measure", "family", "models", "with every tenfold", "at the largest size", "trend"]
    points = [[*_named(one), *_point(one, point)] for one in found for point in one.points]
    left = dict.fromkeys(f"{item.model} ({item.why})" for one in found for item in one.left_out)
    of_points = ["of", "measure", "model", "family", "parameters", "value (95%)"]
    return [
        bullets([first_sentence(one) for one in found]),
        table(header, lines, text_columns=(0, 1, 2, len(header) - 1)),
        *([element("p", f"In no line: {', '.join(left)}.", class_="note")] if left else []),
        element("p", NOTE, class_="note"),
        element(
            "details", element("summary", f"The {len(points)} points"), table(of_points, points, text_columns=range(4))
        ),
    ]


def _named(one: Scale) -> list[str]:
    return ["bases" if one.of == "base" else one.method or "training", RANKED[one.metric]]


def _fit(one: Scale, fit: SizeFit) -> list[str]:
    ends = [(fit.slope, fit.low, fit.high), (fit.at_largest, fit.at_largest_low, fit.at_largest_high)]
    told = [_number(*end, is_factor=one.is_factor, signs=True) for end in ends]
    if one.of == "base":
        told[1] = _number(*ends[1], is_factor=one.is_factor, signs=False)
    return [fit.architecture or "all", str(fit.models), *told, fit.trend]


def _point(one: Scale, point: SizePoint) -> list[str]:
    told = _number(point.value, point.low, point.high, is_factor=one.is_factor, signs=one.of == "effect")
    return [point.model, point.architecture or NOTHING, parameters(point.parameters), told]


def _number(value: float | None, low: float | None, high: float | None, *, is_factor: bool, signs: bool) -> str:
    """A value and its interval: factors with two decimals, points with one and, if wanted, their signs."""
    if value is None:
        return NOTHING
    told = [
        f"{number:.2f}" if is_factor else signed(number) if signs else f"{number:.1f}"
        for number in (value, low, high)
        if number is not None
    ]
    return told[0] if len(told) < 3 else f"{told[0]} ({told[1]} to {told[2]})"
