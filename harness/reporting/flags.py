"""What a reader has to know of a task's numbers before believing them: the flags that all of them carry."""

from __future__ import annotations

from typing import get_args

from harness.data.sources import SOURCES
from harness.metrics.benchmarks import HELD_OUT_OF
from harness.reporting.contamination import Evidence
from harness.reporting.schema_types import Flag
from harness.reporting.scores import TaskScores
from harness.reporting.stages import StageFiles


def task_flags(stage: StageFiles, scores: TaskScores, base: TaskScores | None, evidence: Evidence) -> list[Flag]:
    """The flags of every entry of a task at a stage; `base` is what the stage is compared with."""
    data = scores.benchmark.data
    flags: set[Flag] = set()
    published = {pin.digest for pin in SOURCES[data].pins} if data in SOURCES else set()
    if any(one.origin == "sample" for one in scores.data):
        flags.add("sample_data")
    if any(one.origin not in ("sample", "task") and one.sha256 not in published for one in scores.data):
        flags.add("altered_data")
    trained_on_pairs = scores.task in HELD_OUT_OF and _trained_on(stage, data)
    known = scores.is_ours and evidence.of(stage.provenance, data).status == "contaminated"
    if trained_on_pairs or known:
        flags.add("contaminated")
    if scores.limited:
        flags.add("limited")
    if not all(one.sealed for one in (scores, base) if one is not None):
        flags.add("unsealed")
    return ordered(flags)


def ordered(flags: set[Flag]) -> list[Flag]:
    """Flags in the order of the legend."""
    return [flag for flag in get_args(Flag) if flag in flags]


def _trained_on(stage: StageFiles, data: str) -> bool:
    """Whether any checkpoint's split says so. Files of before do not say, and are of checkpoints trained here."""
    told = [scored.provenance.trained_on for checkpoint in stage.checkpoints for scored in checkpoint.scored]
    return stage.stage == "step" and any(one is None or one.get(data) for one in told)
