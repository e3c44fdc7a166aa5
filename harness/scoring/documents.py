"""Which of a task's documents are scored, and that every process gets some of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.data.draw import drawn


def drawn_documents(task: Any, items: int, limit: float | None, listed: Sequence[int] | None) -> list[int]:
    """The documents of a sample of items: an item that is asked in several orders has several, one after the other."""
    from lm_eval.evaluator_utils import get_sample_size

    docs = task.eval_docs
    places = list(range(len(docs)))[: get_sample_size(task, limit)] if listed is None else list(listed)
    rotations = docs["rotation"] if "rotation" in docs.column_names else [0] * len(docs)
    groups: list[list[int]] = []
    for place in places:
        if rotations[place] == 0 or not groups:
            groups.append([])
        groups[-1].append(place)
    return [place for number in drawn(task.config.task, len(groups), items) for place in groups[number]]


def drop_padding(task: Any) -> None:
    """With several processes lm-eval evens out requests by asking the last one again: keep what was asked once."""
    apply_filters = task.apply_filters

    def apply_to_asked() -> Any:
        for instance in task.instances:
            del instance.resps[instance.repeats :]
        return apply_filters()

    task.apply_filters = apply_to_asked


def require_documents(
    name: str, task: Any, processes: int, limit: float | None, samples: Mapping[str, Sequence[int]] | None
) -> None:
    """A process left without a document would end with an error of its own while the others wait for it.

    Raises:
        ValueError: no document, or fewer than processes.
    """
    from lm_eval.evaluator_utils import get_sample_size

    listed = (samples or {}).get(name)
    count = min(len(task.eval_docs), get_sample_size(task, limit) or sys.maxsize) if listed is None else len(listed)
    if not count:
        raise ValueError(f"{name}: no document to score: its data file, --samples or --limit leave none")
    if count < processes:
        raise ValueError(f"{name}: {count} documents cannot be shared out over {processes} processes")
