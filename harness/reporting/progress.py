"""Which checkpoints of different folds and seeds were trained for as long, so that they stand together as one step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.reporting.schema import Repeat
from harness.storage.provenance import Provenance
from harness.storage.results import Scored

SAME_PROGRESS = 0.05


class _Point(NamedTuple):
    """A checkpoint: which training it is of, and how far that had come."""

    repeat: Repeat
    step: int
    epoch: float | None


def repeat_of(provenance: Provenance) -> Repeat:
    """The fold and seed that a results file is of."""
    return Repeat(fold=provenance.fold, seed=provenance.seed)


def by_progress(scored: Sequence[Scored]) -> list[list[Scored]]:
    """Bring the checkpoints of all folds and seeds together.

    Folds hold unequal numbers of pairs, so the end of an epoch is step 75 in one and 76 in another: what steps or
    epochs say alike, within 5%, stands together. The ends of all trainings go first, then equal steps, then the rest in
    order; no training stands twice in one group.
    """
    groups: list[list[_Point]] = []
    points = {_point(item.provenance) for item in scored}
    ends = _ends(points)
    if _alike(ends):
        groups.append(ends)
        points -= set(ends)
    groups += _merged(points)
    place = {point: number for number, group in enumerate(groups) for point in group}
    together: dict[int, list[Scored]] = defaultdict(list)
    for item in scored:
        together[place[_point(item.provenance)]].append(item)
    return list(together.values())


def _merged(points: Iterable[_Point]) -> list[list[_Point]]:
    of_step: dict[int, list[_Point]] = defaultdict(list)
    for point in points:
        of_step[point.step].append(point)
    groups: list[list[_Point]] = []
    for _, group in sorted(of_step.items()):
        before = groups[-1] if groups else []
        apart = {point.repeat for point in before}.isdisjoint(point.repeat for point in group)
        if before and apart and _alike([*before, *group]):
            before += group
        else:
            groups.append(group)
    return groups


def _ends(points: Iterable[_Point]) -> list[_Point]:
    last: dict[Repeat, _Point] = {}
    for point in points:
        if point.repeat not in last or point.step > last[point.repeat].step:
            last[point.repeat] = point
    return list(last.values())


def _alike(points: Sequence[_Point]) -> bool:
    epochs = [point.epoch for point in points if point.epoch is not None]
    return _close([point.step for point in points]) or (len(epochs) == len(points) and _close(epochs))


def _close(values: Sequence[float]) -> bool:
    return not values or max(values) - min(values) <= SAME_PROGRESS * max(values)


def _point(provenance: Provenance) -> _Point:
    return _Point(repeat_of(provenance), provenance.step or 0, provenance.epoch)
