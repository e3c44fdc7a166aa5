"""Between a metric module and lm-eval: a row's value under every metric key, and a function a key that aggregates them.

lm-eval calls an aggregation with the values of all rows and knows no parts, so each key of a part ("crows_score/age")
gets None from the rows of other parts, and the aggregation passes over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from harness.metrics.statistics import Array

Scores = dict[str, float | None]


class HasBiasType(Protocol):
    """A record of an item that belongs to one bias type."""

    @property
    def bias_type(self) -> str: ...


R = TypeVar("R")
Typed = TypeVar("Typed", bound=HasBiasType)


class Aggregation(Generic[R]):
    """lm-eval's aggregation of one metric: records from the rows' values, then the module's own formula."""

    def __init__(self, metric: str, revive: Callable[[Sequence[Any]], R], overall: Callable[[list[R]], Scores]) -> None:
        self.metric, self.revive, self.overall = metric, revive, overall

    def __call__(self, values: Sequence[Sequence[Any] | None]) -> float | None:
        """The metric over the rows that belong to it; None where it is undefined."""
        return self.overall([self.revive(value) for value in values if value is not None])[self.metric]

    def __repr__(self) -> str:
        return f"{self.overall.__module__}.{self.overall.__name__}()[{self.metric!r}]"


def metric_list(
    revive: Callable[[Sequence[Any]], R],
    overall: Callable[[list[R]], Scores],
    names: Sequence[str],
    part_names: Sequence[str] = (),
    parts: Sequence[str] = (),
    higher_is_better: Mapping[str, bool] | None = None,
) -> list[dict[str, Any]]:
    """A task's `metric_list`: every metric of the whole, then those of each part.

    Args:
        revive: makes a record of a row's value.
        overall: the module's metrics of a list of records.
        higher_is_better: by metric; a metric whose ideal lies between (50 percent) is in neither direction, None.
    """
    better = higher_is_better or {}
    keys = [(name, name) for name in names] + [(name, f"{name}/{part}") for part in parts for name in part_names]
    return [
        {"metric": key, "aggregation": Aggregation(name, revive, overall), "higher_is_better": better.get(name)}
        for name, key in keys
    ]


def row_values(
    metrics: Sequence[Mapping[str, Any]], value: Sequence[Any], part: str = "", parts: Sequence[str] = ()
) -> dict[str, Any]:
    """What `process_results` returns for one row: `value`, the same object under every key; None under other parts."""
    others = {name for name in parts if name != part}
    keys = [str(metric["metric"]) for metric in metrics]
    return {key: None if key.partition("/")[2] in others else value for key in keys}


def by_bias_type(records: Sequence[Typed], bias_types: Sequence[str]) -> dict[str, list[Typed]]:
    """The records of each bias type that occurs."""
    groups = {name: [record for record in records if record.bias_type == name] for name in bias_types}
    return {name: members for name, members in groups.items() if members}


def with_parts(
    overall: Callable[[list[R]], Scores], records: Sequence[R], parts: Mapping[str, list[R]], part_names: Sequence[str]
) -> Scores:
    """The metrics of all records, and under "metric/part" those of each part."""
    scores = overall(list(records))
    for part, members in parts.items():
        values = overall(members)
        scores |= {f"{name}/{part}": values[name] for name in part_names}
    return scores


def loglikelihoods(doc: Mapping[str, Any], answers: Sequence[Any], expected: int) -> list[float]:
    """Log-probabilities (nats) out of lm-eval's answers: pairs with the greedy flag, or, in its files, their strings.

    Raises:
        ValueError: another number of answers, or one that is no finite number; names the row.
    """
    values = [float(answer[0]) for answer in answers]
    if len(values) != expected or not all(map(math.isfinite, values)):
        raise ValueError(
            f"{name_of(doc)}: expected {expected} finite log-probabilities, found {values}. Half precision overflows "
            "in some models; score with dtype=float32"
        )
    return values


def name_of(doc: Mapping[str, Any]) -> str:
    """A row's name for a message: its id, whatever the benchmark calls it."""
    key = next((key for key in ("pair_id", "id", "example_id", "title") if key in doc), None)
    return f"{key} {doc[key]!r}" if key else f"row {dict(doc)!r}"


def ratio(numerator: Array, denominator: Array) -> Array:
    """Elementwise quotient, nan where the denominator is 0: a score of nothing is undefined, not 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient: Array = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def icat(lms: Array, ss: Array) -> Array:
    """Idealised context association test score (Nadeem et al. 2021), percent: 100 models language without bias."""
    return lms * np.minimum(ss, 100 - ss) / 50
