"""Does it hold as models grow: each method's effect, and the bases' own bias, against the number of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from harness.metrics.scales import MAGNITUDES
from harness.metrics.slope import Point, Value, half_width_error, line
from harness.reporting.entries import rounded
from harness.reporting.index import CROWS_FORMS, Index
from harness.reporting.methods import RANKED
from harness.reporting.scale_schema import LeftOut, Scale, SizeFit, SizePoint, Trend
from harness.reporting.scale_text import told
from harness.reporting.schema import Entry, Stage
from harness.reporting.verdict import headline_entries

Of = Literal["effect", "base"]
_LEAST = 1e-5
"""Of a magnitude: less is nothing, at the decimals that a report has."""


class _Model(NamedTuple):
    """A base model, the stage that is looked at, and the entries of its measures."""

    base: Stage
    stage: Stage
    entries: Sequence[Entry]

    @property
    def weights(self) -> str:
        """What tells the base model from others."""
        first = self.base.scorings[0]
        return first.weights_sha256 or self.base.model


class _Measured(NamedTuple):
    """A value in the unit that is shown, with the ends of its interval."""

    value: float
    low: float
    high: float


def scales(index: Index) -> list[Scale]:
    """One for each method and measure, then one for each measure of the bases; [] for a report of a single model."""
    of_method: dict[str | None, list[_Model]] = {}
    for stages in index.families():
        if stages[0].stage == "base" and stages[-1].stage == "step":
            model = _Model(stages[0], stages[-1], headline_entries(index, stages[-1]))
            of_method.setdefault(stages[-1].method, []).append(model)
    bases = [
        _Model(stage, stage, list(_of_base(index, stage))) for stage in index.each_base_once() if stage.stage == "base"
    ]
    if len({model.weights for model in bases}) < 2:
        return []
    found = [
        *(_scale(index, "effect", method, its, metric) for method, its in of_method.items() for metric in RANKED),
        *(_scale(index, "base", None, bases, metric) for metric in RANKED),
    ]
    return [one for one in found if one.points or one.left_out]


def _of_base(index: Index, stage: Stage) -> Iterator[Entry]:
    """The same measures of a base model itself, on all pairs where it was scored on all."""
    scored = index.tasks(stage)
    crows = next((task for form in CROWS_FORMS for task in reversed(form) if task in scored), None)
    for task, metric in ((index.stereoset_task(), "ss"), (crows, "crows_score"), (crows, "abs_logprob_diff")):
        if (entry := index.entry(stage, task, metric)) is not None:
            yield entry


def _scale(index: Index, of: Of, method: str | None, models: Sequence[_Model], metric: str) -> Scale:
    points: list[SizePoint] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for model in models:
        entry = next((one for one in model.entries if one.metric == metric), None)
        if entry is None:
            continue
        measured = _effect(entry) if of == "effect" else _own(entry)
        why = _why_left_out(model, entry, measured, seen)
        if why is None and measured is not None:
            points.append(_point(index, model, measured))
            seen.add(model.weights)
        elif why:
            left_out.append(LeftOut(model=index.model_name(model.base), why=why))
    is_factor = metric in MAGNITUDES
    fits = list(_fits(points, math.log if is_factor else float, math.exp if is_factor else float)) if points else []
    found = Scale(
        of=of,
        method=method,
        metric=metric,
        is_factor=is_factor,
        points=points,
        fits=fits,
        left_out=left_out,
        text="",
    )
    return found.model_copy(update={"text": told(found)})


def _why_left_out(model: _Model, entry: Entry, measured: _Measured | None, seen: set[str]) -> str | None:
    if model.base.parameters is None:
        return "parameters not known"
    if "broken" in entry.flags:
        return "broken"
    if "at_random" in entry.flags:
        return "answers at random"
    if measured is None:
        return "no interval"
    return "stands here more than once" if model.weights in seen else None


def _effect(entry: Entry) -> _Measured | None:
    """What a method did: after / before of a magnitude, the change of the distance from 50 of a score."""
    if entry.metric in MAGNITUDES:
        return _logarithmic(_measured(entry.ratio, entry.ratio_low, entry.ratio_high))
    return _measured(entry.distance_change, entry.distance_low, entry.distance_high)


def _own(entry: Entry) -> _Measured | None:
    """How biased a base is: its magnitude, or its score's distance from 50, as wide as the score's own interval."""
    found = _measured(entry.value, entry.low, entry.high)
    if found is None or entry.metric in MAGNITUDES:
        return _logarithmic(found)
    away, half = abs(found.value - 50), (found.high - found.low) / 2
    return _Measured(away, away - half, away + half)


def _measured(value: float | None, low: float | None, high: float | None) -> _Measured | None:
    return None if value is None or low is None or high is None else _Measured(value, low, high)


def _logarithmic(found: _Measured | None) -> _Measured | None:
    """None where a logarithm could not be taken."""
    return found if found is not None and found.low > _LEAST else None


def _point(index: Index, model: _Model, measured: _Measured) -> SizePoint:
    assert model.base.parameters is not None
    return SizePoint(
        run=model.base.run,
        model=index.model_name(model.base),
        architecture=model.base.architecture,
        parameters=model.base.parameters,
        value=_rounded(measured.value),
        low=_rounded(measured.low),
        high=_rounded(measured.high),
    )


def _rounded(number: float) -> float:
    return rounded(number) or 0.0


def _fits(
    points: Sequence[SizePoint], inwards: Callable[[float], float], outwards: Callable[[float], float]
) -> Iterator[SizeFit]:
    """Over all models, and within each family of two or more where there are several families."""
    yield _fit(None, points, inwards, outwards)
    families = dict.fromkeys(point.architecture for point in points)
    for family in families if len(families) > 1 else ():
        own = [point for point in points if point.architecture == family]
        if family is not None and len(own) > 1:
            yield _fit(family, own, inwards, outwards)


def _fit(
    family: str | None,
    points: Iterable[SizePoint],
    inwards: Callable[[float], float],
    outwards: Callable[[float], float],
) -> SizeFit:
    """A line, fitted where magnitudes are logarithms, and told in their own unit."""
    of_line = [
        Point(
            math.log10(point.parameters),
            inwards(point.value),
            half_width_error(inwards(point.low), inwards(point.high)),
        )
        for point in points
    ]
    found = line(of_line)
    slope, level = (found.slope, found.at_largest) if found else (None, None)
    ends = [_told(one, outwards) for one in (slope, level)]
    return SizeFit(
        architecture=family,
        models=len(of_line),
        slope=ends[0][0],
        low=ends[0][1],
        high=ends[0][2],
        at_largest=ends[1][0],
        at_largest_low=ends[1][1],
        at_largest_high=ends[1][2],
        trend=_trend(slope),
    )


def _told(found: Value | None, outwards: Callable[[float], float]) -> list[float | None]:
    return [None if number is None else rounded(outwards(number)) for number in found or (None, None, None)]


def _trend(slope: Value | None) -> Trend:
    if slope is None or slope.low is None or slope.high is None:
        return "cannot tell"
    return "rises" if slope.low > 0 else "falls" if slope.high < 0 else "cannot tell"
