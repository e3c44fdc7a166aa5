"""A task's samples file read: the records behind its numbers, checked against what the results file says of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from harness.metrics.benchmarks import BENCHMARKS, Benchmark
from harness.storage.reading import brief, require_kind
from harness.storage.results import AGAIN, Scored

WRONG_TYPES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of reading a line whose values are of other types than its task writes."""
_ROUNDING = 1e-6


def read_samples(scored: Scored, benchmark: Benchmark) -> tuple[Sequence[Any], Mapping[str, str]]:
    """The records of a benchmark's task, and a digest of what was asked of each item where the lines say it.

    Raises:
        ValueError: the samples are altered, cut, another model's, or give other scores than the results file holds;
            names the file, what was found and what was expected.
    """
    task = benchmark.name
    records, prompts = [], {}
    for number, sample in enumerate(scored.samples(task), start=1):
        where = f"{scored.samples_file(task)}, line {number}"
        try:
            record = benchmark.record(sample)
            key = benchmark.item_key(record)
        except WRONG_TYPES as error:
            raise ValueError(f"{where}: not what {task} writes ({brief(error)}); {AGAIN}") from error
        kind: Any = type(record)
        if (fields := _fields(kind)) is not None:
            require_kind(record, fields, where, AGAIN)
        records.append(record)
        if "arguments" in sample:
            prompts[key] = hashlib.sha256(json.dumps(sample["arguments"], sort_keys=True).encode()).hexdigest()
    if not records:
        raise ValueError(f"{scored.samples_file(task)}: no samples in it; {AGAIN}")
    if len(records) != (expected := scored.provenance.tasks[task].n):
        raise ValueError(
            f"{scored.samples_file(task)}: expected {expected} samples of {task}, as {scored.file.name} says, found "
            f"{len(records)}; put the original file back, or score this model again"
        )
    try:
        values = benchmark.metrics(records)
    except WRONG_TYPES as error:
        raise ValueError(
            f"{scored.samples_file(task)}: these samples of {task} give no scores ({brief(error)}); {AGAIN}"
        ) from error
    if task in BENCHMARKS:  # of others the file's own number is what says how its samples are averaged
        _require_told(scored, benchmark, values)
    return records, prompts


@cache
def _fields(record: Any) -> TypeAdapter[Any] | None:
    """What a benchmark's record holds, by its annotations; None where these say nothing that can be checked."""
    try:
        return TypeAdapter(record)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError):
        return None


def _require_told(scored: Scored, benchmark: Benchmark, values: Mapping[str, float | None]) -> None:
    """The scores in the results file are those of the samples. Another version may have defined them otherwise."""
    task = benchmark.name
    generation = scored.provenance.generations.get(task)
    if scored.seal(task) is None or (generation and not generation.judge):
        return
    if scored.provenance.versions.get("lm-stereoscope") != version("lm-stereoscope"):
        return
    told = scored.results.get("results", {}).get(task, {})
    for metric, value in values.items():
        found = told.get(f"{metric},none", value)
        if not _same(found, value):
            raise ValueError(
                f"{scored.file}: says that {metric} of {task} is {found}, but its samples give {value}: one of the two "
                "was altered. Put the original files back, or score this model again"
            )


def _same(found: object, value: float | None) -> bool:
    number = found if isinstance(found, (int, float)) and math.isfinite(found) else None
    if number is None or value is None:
        return number is None and value is None
    return math.isclose(number, value, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def check_same_items(
    task: str, one: str, first: Sequence[Any], other: str, second: Sequence[Any], benchmark: Benchmark
) -> None:
    """Raises:
    ValueError: two sets of records are not of the same items; names some that only one has.
    """
    before = Counter(benchmark.item_key(record) for record in first)
    after = Counter(benchmark.item_key(record) for record in second)
    if before != after:
        changed = sorted(((before - after) + (after - before)).elements())
        raise ValueError(
            f"{task}: {one} has {before.total()} scored items and {other} {after.total()}; not in both: "
            f"{', '.join(changed[:5])}. Score the base and every step with the same items"
        )
