"""What may be claimed of a model: distances of its headline measures from their ideals, corrected for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from harness.metrics.intervals import SIGNIFICANT
from harness.metrics.statistics import holm

Outcome: TypeAlias = Literal["fell", "rose", "not shown"]


class Measure(NamedTuple):
    """One hypothesis of the family, fixed before any result was looked at: a headline measure's distance change.

    `change`, `low` and `high` are of the distance from the ideal (below 0: nearer), `p_value` is two-sided for no
    change. `half_width` is half the 95% interval of the plain difference from the base. All None where undefined.
    """

    name: str
    change: float | None
    low: float | None
    high: float | None
    p_value: float | None
    half_width: float | None


class Decision(NamedTuple):
    """What is shown of one measure at 5% over the whole family.

    `smallest` is the smallest change that these items (and runs) could have shown if this measure stood alone: half of
    the interval of the difference, in the measure's unit.
    """

    measure: Measure
    outcome: Outcome
    p_holm: float
    smallest: float | None


def decide(measures: Sequence[Measure]) -> tuple[Decision, ...]:
    """Whether each measure's distance from its ideal fell, rose, or neither was shown; Holm (1979) over all of them.

    A measure without a p value was still looked at: it counts as one that shows nothing.

    Raises:
        ValueError: two measures of one name, so that the family is not what it seems.
    """
    names = [measure.name for measure in measures]
    if len(set(names)) < len(names):
        raise ValueError(f"a family of measures has each once, found {names}")
    corrected = holm({one.name: 1.0 if one.p_value is None else one.p_value for one in measures})
    return tuple(
        Decision(one, _outcome(one, corrected[one.name]), corrected[one.name], one.half_width) for one in measures
    )


def _outcome(measure: Measure, p_holm: float) -> Outcome:
    if p_holm >= SIGNIFICANT or not measure.change:
        return "not shown"
    return "fell" if measure.change < 0 else "rose"
