"""A step's records beside those of its base model, or of a control: the same items of the same data, asked alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF
from harness.reporting.samples import check_same_items
from harness.reporting.scores import RunLabel, TaskScores

log = logging.getLogger(__name__)


def matched_base(step: TaskScores, base: dict[str, TaskScores], called: str = "the base model") -> TaskScores | None:
    """The base model's records of exactly the step's items; None if it was not scored on them.

    Args:
        base: or a control's, which was scored on all pairs too.
        called: what messages say instead of "the base model".

    Raises:
        ValueError: the base was scored on other data or other items, so that no comparison means anything.
    """
    whole = step.benchmark.whole
    matched = base.get(whole or step.task) or base.get(step.task)
    if matched is None:
        return None
    digests = [{data.sha256 for data in scores.data} for scores in (matched, step)]
    if digests[0] != digests[1]:
        raise ValueError(
            f"{step.task}: {called} was scored on data {_short(digests[0])} and a step on {_short(digests[1])}; "
            "score both on the same file"
        )
    if matched.setting != step.setting:
        raise ValueError(
            f"{step.task}: the texts of {called} are of {matched.setting} and a step's of {step.setting}, which do "
            "not compare; score both alike, or judge the saved texts alike with `stereoscope classify`"
        )
    if whole == matched.task:
        matched = restricted(matched, step)
        if missing := len(pair_ids(step) - pair_ids(matched)):
            log.warning(
                "%s: %s was not scored on %d of a step's held-out pairs, so the two are not compared; "
                "score its %s without a limit",
                step.task,
                called,
                missing,
                whole,
            )
            return None
    check_same_items(step.task, called, matched.records[0], "a step", step.records[0], step.benchmark)
    return matched


def require_partners(step: TaskScores, base: TaskScores) -> None:
    """Where a base is of several trainings itself, each has to have its partner in the step.

    Raises:
        ValueError: folds or seeds differ; says which.
    """
    if len(base.runs) > 1 and base.runs != step.runs:
        raise ValueError(
            f"{step.task}: one side is of {_told(base.runs)} and the other of {_told(step.runs)}; compare trainings in "
            "the same folds with the same seeds, or name the folder of a single one"
        )


def pair_ids(scores: TaskScores) -> frozenset[str]:
    """The CrowS-Pairs that a stage scored (prompt form: the questions asked), over all folds where these are joined."""
    return frozenset(scores.benchmark.item_key(record) for record in scores.records[0])


def restricted(whole: TaskScores, step: TaskScores) -> TaskScores:
    """The whole set of a base or a control cut down to a step's held-out pairs, under the held-out task's name."""
    key, pairs = whole.benchmark.item_key, pair_ids(step)
    kept = tuple([record for record in records if key(record) in pairs] for records in whole.records)
    held_out = HELD_OUT_OF[whole.task]
    return replace(whole, task=held_out, benchmark=BENCHMARKS[held_out], records=kept, rows=step.rows, of=step.of)


def _told(runs: Sequence[RunLabel]) -> str:
    names = [
        " ".join(f"{part} {number}" for part, number in run._asdict().items() if number is not None) for run in runs
    ]
    return ", ".join(name or "one training" for name in names)


def _short(digests: set[str]) -> str:
    return ", ".join(sorted(digest[:12] for digest in digests))
