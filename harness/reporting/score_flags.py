"""Flags that a score earns by what else was measured: ties among what it compares, and choices that move it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from harness.reporting.legend import MOST_TIES
from harness.reporting.schema import Entry
from harness.reporting.schema_types import Flag
from harness.reporting.stages import StageFiles
from harness.storage.sensitivity import read_sensitivity


def with_score_flags(stage: StageFiles, entries: Sequence[Entry]) -> list[Entry]:
    """A stage's entries, those flagged `ties` and `sensitive` that are."""
    tied = {
        entry.task
        for entry in entries
        if entry.metric == "ties" and entry.part is None and (entry.value or 0) > MOST_TIES
    }
    moved = _moved(stage)
    return [_with(entry, _flags(entry, tied, moved)) for entry in entries]


def _flags(entry: Entry, tied: Iterable[str], moved: Mapping[tuple[str, str], float]) -> set[Flag]:
    found: set[Flag] = {"ties"} if entry.task in tied else set()
    move = moved.get((entry.task, entry.metric))
    if move is None or entry.part is not None or entry.low is None or entry.high is None:
        return found
    return found | ({"sensitive"} if move > (entry.high - entry.low) / 2 else set())


def _moved(stage: StageFiles) -> dict[tuple[str, str], float]:
    """How far the choice that matters most moves each task's metrics, at the checkpoint that it moves furthest."""
    largest: defaultdict[tuple[str, str], float] = defaultdict(float)
    for checkpoint in stage.checkpoints:
        for scored in checkpoint.scored:
            for one in read_sensitivity(scored.results):
                largest[one.task, one.metric] = max(largest[one.task, one.metric], one.moved)
    return dict(largest)


def _with(entry: Entry, flags: set[Flag]) -> Entry:
    together = {*entry.flags, *flags}
    return entry.model_copy(update={"flags": [flag for flag in get_args(Flag) if flag in together]})
