"""What the metrics of generated texts share: the judged texts of a prompt, how many were empty, and gaps of groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.metrics.aggregation import name_of, ratio, row_values
from harness.metrics.statistics import Array

COUNTS = ("empty", "truncated", "repeated", "continuations", "dropped", "n")


class Judged(NamedTuple):
    """The texts of one prompt: of each the judge's finding, None for an empty one, of which nothing can be said.

    `truncated` texts were cut to fit the judge, `repeated` ones equal an earlier one of the same prompt, and `dropped`
    is how many prompts of the file were empty. A finding is the probabilities of a classifier's labels, or names of
    categories. `matched` prompts are asked of every group alike.
    """

    item: str
    prompt: str
    group: str
    findings: Sequence[Sequence[Any] | None]
    truncated: int
    repeated: int
    dropped: int
    matched: bool = True


def texts_of(answers: Sequence[Any]) -> list[str]:
    """The texts in a row's `filtered_resps`: k entries, each a text and, once judged, the finding behind it."""
    return [str(entry[0]) for entry in answers[0]]


def is_judged(answers: Sequence[Any]) -> bool:
    """Whether somebody judged the row's texts; where all are empty there is nothing to judge."""
    return all(len(entry) > 1 for entry in answers[0] if str(entry[0]).strip())


def classified(doc: Mapping[str, Any], answers: Sequence[Any], labels: int) -> Judged:
    """The record of a row whose texts a classifier judged: behind each text whether it was cut, and probabilities.

    Raises:
        ValueError: another number of labels, a probability outside 0 to 1, or texts that nobody judged; names the row.
    """
    findings = [_probabilities(doc, entry, labels) if str(entry[0]).strip() else None for entry in answers[0]]
    truncated = sum(int(float(entry[1])) for entry in answers[0] if len(entry) > 1)
    return judged(doc, answers, findings, truncated)


def judged(
    doc: Mapping[str, Any], answers: Sequence[Any], findings: Sequence[Sequence[Any] | None], truncated: int = 0
) -> Judged:
    """The record of a row with these findings."""
    told = [text.strip() for text in texts_of(answers) if text.strip()]
    repeated = len(told) - len(set(told))
    return Judged(doc["item"], doc["prompt"], doc["group"], findings, truncated, repeated, doc["dropped"])


def not_judged(doc: Mapping[str, Any]) -> ValueError:
    """The error for texts that wait for their judge."""
    return ValueError(
        f"{name_of(doc)}: its texts are saved and not judged yet; `stereoscope classify RESULTS_DIR` does it"
    )


def row_of(task: Sequence[Mapping[str, Any]], groups: Sequence[str], row: Judged | None) -> dict[str, Any]:
    """lm-eval's values of one row, under the keys of the task's metric list; none where nobody judged its texts yet."""
    if row is None:
        return dict.fromkeys(str(metric["metric"]) for metric in task)
    return row_values(task, list(row), row.group, groups)


def count_columns(records: Sequence[Judged]) -> dict[str, Sequence[float]]:
    """Of each prompt: its texts, and how many of them are empty, cut or repeated."""
    return {
        "texts": [len(record.findings) for record in records],
        "empty": [sum(finding is None for finding in record.findings) for record in records],
        "truncated": [record.truncated for record in records],
        "repeated": [record.repeated for record in records],
    }


def count_metrics(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Percent of all texts."""
    return {name: 100 * ratio(columns[name], columns["texts"]) for name in ("empty", "truncated", "repeated")}


def totals(records: Sequence[Judged]) -> dict[str, float | None]:
    """Counts that are no function of column sums alone."""
    return {
        "continuations": sum(len(record.findings) for record in records),
        "dropped": records[0].dropped if records else 0,
        "n": len(records),
    }


def by_group(records: Sequence[Judged], groups: Sequence[str]) -> dict[str, list[Judged]]:
    """The records of each group that occurs, in the order of `groups`."""
    found = {group: [record for record in records if record.group == group] for group in groups}
    return {group: members for group, members in found.items() if members}


def per_group(records: Sequence[Judged], columns: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Each column again for each group, named "column@group", 0 for prompts of other groups; nothing for one group."""
    groups = sorted({record.group for record in records})
    if len(groups) < 2:
        return {}
    return {
        f"{name}@{group}": [
            value if record.group == group else 0 for value, record in zip(values, records, strict=True)
        ]
        for name, values in columns.items()
        for group in groups
    }


def gaps(name: str, columns: Mapping[str, Array], score: Callable[[Callable[[str], Array]], Array]) -> dict[str, Array]:
    """Differences of a score between each two groups, in its unit, and under `name` the largest of them.

    Args:
        name: of the metric.
        columns: with those of `per_group`.
        score: the metric of one group, given a function from a column's name to the group's column.
    """
    groups = sorted({column.partition("@")[2] for column in columns if "@" in column})
    scores = {group: score(partial(_column, columns, group)) for group in groups}
    found = {f"{name}/{one} - {other}": scores[one] - scores[other] for one, other in combinations(groups, 2)}
    if not found:
        return {}
    sizes = np.abs(np.stack(list(found.values())))
    # A group without a text has no score and takes no part.
    largest = np.where(np.isnan(sizes).all(axis=0), np.nan, np.nanmax(np.nan_to_num(sizes, nan=-1.0), axis=0))
    return {name: largest, **found}


def _column(columns: Mapping[str, Array], group: str, name: str) -> Array:
    return columns[f"{name}@{group}"]


def _probabilities(doc: Mapping[str, Any], entry: Sequence[Any], labels: int) -> list[float]:
    if len(entry) == 1:
        raise not_judged(doc)
    values = [float(value) for value in entry[2:]]
    if len(values) != labels or not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise ValueError(f"{name_of(doc)}: expected {labels} probabilities from 0 to 1, found {list(entry[2:])}")
    return values
