"""Whether a step still models language: change of the language-model score, of missing answers, and of perplexity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from harness.reporting.index import PERPLEXITY_TASK, STEREOSET_TASKS
from harness.reporting.legend import LMS_FALL, NO_ANSWER_RISE
from harness.reporting.schema import Entry, Retention


def retention(entries: Sequence[Entry]) -> Retention | None:
    """What one step kept of its base model, from the step's entries; None if no base model was scored.

    A step is degenerate as soon as one fold's checkpoint is: pooled with the others, its bias scores would count.
    """
    if not any(entry.base_value is not None for entry in entries):
        return None
    lms = {entry.task: entry for entry in _whole(entries, "lms") if entry.difference is not None}
    no_answer = [entry for entry in _whole(entries, "no_answer") if entry.difference is not None]
    empty = [entry for entry in _whole(entries, "empty") if entry.difference is not None]
    perplexity = [entry for entry in _whole(entries, "word_perplexity") if entry.task == PERPLEXITY_TASK]
    lms_task = next((task for task in STEREOSET_TASKS if task in lms), None)
    broken = [
        *_beyond(lms.values(), "language-model score", lambda change: change < -LMS_FALL),
        *_beyond(no_answer, "no-answer rate", lambda change: change > NO_ANSWER_RISE),
        *_beyond(empty, "empty rate", lambda change: change > NO_ANSWER_RISE),
    ]
    return Retention(
        lms_task=lms_task,
        lms_change=lms[lms_task].difference if lms_task else None,
        no_answer_change=_largest(no_answer),
        empty_change=_largest(empty),
        perplexity_ratio=next((_ratio(entry) for entry in perplexity), None),
        degenerate=bool(broken) if lms or no_answer or broken else None,
        reason=_reason(broken, bool(lms or no_answer)),
    )


def _reason(broken: Sequence[str], judged: bool) -> str:
    if broken:
        return "; ".join(broken)
    if judged:
        return f"no language-model score fell by more than {LMS_FALL:g} points, no checkpoint stopped answering"
    return "no StereoSet task was scored for the base model and this step, so nothing can tell"


def _largest(entries: Sequence[Entry]) -> float | None:
    return max((entry.difference for entry in entries if entry.difference is not None), default=None)


def _whole(entries: Sequence[Entry], metric: str) -> list[Entry]:
    return [entry for entry in entries if entry.metric == metric and entry.part is None]


def _beyond(entries: Iterable[Entry], name: str, too_far: Callable[[float], bool]) -> list[str]:
    found = []
    for entry in entries:
        folds = entry.folds if entry.fold_values else [None]
        for fold, value in zip(folds, entry.fold_values or [entry.value], strict=True):
            if value is None or entry.base_value is None or not too_far(value - entry.base_value):
                continue
            where = entry.task if fold is None else f"{entry.task}, fold {fold}"
            found.append(f"{name} went from {entry.base_value:.1f} to {value:.1f} ({where})")
    return found


def _ratio(entry: Entry) -> float | None:
    return round(entry.value / entry.base_value, 6) if entry.value and entry.base_value else None
