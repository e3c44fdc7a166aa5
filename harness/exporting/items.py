"""The items behind a stage's numbers: each line of its samples files, with what it comes to on its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from harness.metrics.benchmarks import Benchmark
from harness.metrics.kinks import ICAT_OF
from harness.metrics.statistics import estimate
from harness.reporting.scores import benchmark_of
from harness.reporting.stages import StageFiles

Value = str | int | float | bool | None

# Of every row of a task, and of none of its items; the pages of WikiText-2 are a megabyte a model.
_OF_THE_TASK = frozenset({"start_token", "start_token_id", "data_sha256", "data_origin", "page"})


class Item(NamedTuple):
    """One line of a samples file.

    `values` has, in the metric's unit, each headline metric of the task for this item alone (a CrowS score of 0 or
    100); ICAT is none, for a single item has no stereotype score to be near 50.
    """

    fold: int | None
    seed: int | None
    key: str
    record: Any
    sample: Mapping[str, Any]
    values: Mapping[str, float]


def items(stage: StageFiles, task: str) -> Iterator[Item]:
    """The items of a task at a stage, checkpoint by checkpoint, one in memory at a time.

    Raises:
        FileNotFoundError, ValueError: as `Scored.samples`.
    """
    benchmark = benchmark_of(stage, task)
    if benchmark is None:
        return
    for checkpoint in stage.checkpoints:
        scored = checkpoint.scored_on(task)
        for sample in scored.samples(task) if scored else ():
            record = benchmark.record(sample)
            values = _values(benchmark, record)
            yield Item(checkpoint.fold, checkpoint.seed, benchmark.item_key(record), record, sample, values)


def item_columns(item: Item) -> dict[str, Value]:
    """An item as columns: its record, what its row says beside that, its texts if it was generated, its values."""
    columns = _fields(item.record)
    doc = item.sample.get("doc")
    for name, value in doc.items() if isinstance(doc, Mapping) else ():
        if name not in _OF_THE_TASK and not isinstance(value, (list, dict)):
            columns.setdefault(str(name), value)
    if "findings" in columns:
        columns["texts"] = [str(entry[0]) for entry in item.sample["filtered_resps"][0]]
    return {name: plain(value) for name, value in (columns | dict(item.values)).items()}


def plain(value: object) -> Value:
    """A value that a cell holds: lists and mappings as JSON, a number that is none as an empty cell."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return inert_json(value)


def inert_json(value: object) -> str:
    """A value as JSON in which no character acts on a terminal: all but printable ASCII is JSON's own escapes.

    Spelled out afterwards, as in other texts, it would be JSON no more.
    """
    return json.dumps(value, default=str, allow_nan=False).replace("\x7f", r"\u007f")


def _fields(record: Any) -> dict[str, object]:
    """The fields of a record by name; a plugin's may be of any type."""
    if isinstance(record, tuple) and (names := getattr(record, "_fields", None)):
        return dict(zip(names, record, strict=True))
    return {"record": str(record)}


def _values(benchmark: Benchmark, record: Any) -> dict[str, float]:
    found = estimate(benchmark.table([record]), benchmark.combine)
    return {
        metric: value
        for metric in benchmark.headline
        if metric not in ICAT_OF and (value := found.get(metric)) is not None
    }
