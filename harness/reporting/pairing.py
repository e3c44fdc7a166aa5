"""Two methods' records on what both were scored on, and how far apart the two stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.reporting.measure import Estimate, measure
from harness.reporting.rows import Step
from harness.reporting.scores import Records, RunLabel, TaskScores


class Apart(NamedTuple):
    """How much further from a metric's ideal one method is than another: below 0 the first is nearer.

    On `n` items that both were scored on; `trained` says that the interval covers training too.
    """

    estimate: Estimate
    n: int
    trained: bool


def apart(one: TaskScores, other: TaskScores, metrics: Sequence[str]) -> dict[str, Apart]:
    """The difference of two methods' distances from the ideal, for each metric that has one.

    It is paired by item, on the items of both; and by training, where both have the same folds and seeds. Where one has
    a single training it stands against all of the other's; where both have several, those that both have count alone.
    {} where they have no items, or no training, in common.
    """
    if not _comparable(one, other):
        return {}
    keys = _common_items(one, other)
    runs = _common_runs(one, other)
    if not keys or runs is None:
        return {}
    first, second = (_only(scores, keys, runs) for scores in (one, other))
    turned = len(first.runs) < len(second.runs)
    if turned:
        first, second = second, first
    step = Step(first.records, first.runs, one.fold_of or other.fold_of)
    found = {}
    for item in measure(first.benchmark, step, second.records, metrics):
        if item.distance is not None:
            estimate = _turned(item.distance) if turned else item.distance
            found[item.metric] = Apart(estimate, item.n, item.trained)
    return found


def _comparable(one: TaskScores, other: TaskScores) -> bool:
    """Whether both are of one task, or of a task and its held-out twin, on the same data, asked for alike."""
    forms = [{scores.task, scores.benchmark.whole} - {None} for scores in (one, other)]
    data = [{item.sha256 for item in scores.data} for scores in (one, other)]
    return bool(forms[0] & forms[1]) and data[0] == data[1] and one.setting == other.setting


def _common_items(one: TaskScores, other: TaskScores) -> frozenset[str]:
    counts = [Counter(map(scores.benchmark.item_key, scores.records[0])) for scores in (one, other)]
    return frozenset(key for key, count in counts[0].items() if counts[1].get(key) == count)


def _common_runs(one: TaskScores, other: TaskScores) -> frozenset[RunLabel] | None:
    """The trainings that count of both; all where either has one alone, None where they have none in common."""
    every = frozenset((*one.runs, *other.runs))
    if min(len(one.runs), len(other.runs)) == 1:
        return every
    return frozenset(one.runs) & frozenset(other.runs) or None


def _only(scores: TaskScores, keys: frozenset[str], runs: frozenset[RunLabel]) -> TaskScores:
    kept: Mapping[RunLabel, Records] = {
        run: [record for record in records if scores.benchmark.item_key(record) in keys]
        for run, records in zip(scores.runs, scores.records, strict=True)
        if run in runs
    }
    return replace(scores, runs=tuple(kept), records=tuple(kept.values()))


def _turned(found: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Estimate(-found.value, low, high, found.p_value)
