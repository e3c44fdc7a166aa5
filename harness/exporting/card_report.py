"""Where a checkpoint stands in a report: the stage that its weights are of, found by their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from harness.exporting.source import ExportedStage, read_run
from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.schema import Entry, Judgement, Legend, Scoring
from harness.storage.weights import weights_sha256

CARD_METRICS = ("icat", "ss", "lms", "crows_score", "abs_logprob_diff", "word_perplexity")
_DATA = ("stereoset", "crows_pairs", "wikitext2")


class Reported(NamedTuple):
    """A checkpoint's stage with its verdict.

    `own` has an entry a measure, its data set, and the value of this very checkpoint: the stage's own where folds are
    pooled by item or there is one alone.
    """

    exported: ExportedStage
    scoring: Scoring
    judgement: Judgement | None
    legend: Legend
    own: list[tuple[Entry, str, float]]


def reported(checkpoint: Path, run: Path) -> Reported:
    """Find a checkpoint in a run by the digest of its weights.

    Raises:
        ValueError: these weights were not scored there; names the digests.
        FileNotFoundError, ValueError: as `read_run`.
    """
    exported = read_run(run)
    own = weights_sha256(checkpoint)
    places = [(one, scoring) for one in exported.stages for scoring in one.stage.scorings]
    fitting = [(one, scoring) for one, scoring in places if scoring.weights_sha256 in _digests(own, scoring)]
    if not fitting:
        known = sorted({str(scoring.weights_sha256)[:12] for _, scoring in places})
        raise ValueError(
            f"{checkpoint}: its weights (sha256 {own[:12]}) were not scored in {run}, which has {', '.join(known)}. "
            "Score this checkpoint with `stereoscope eval`, or name the run that did"
        )
    one, scoring = fitting[0]
    stage = one.stage
    key = (stage.run, stage.model, stage.method, stage.step)
    judged = (item for item in exported.report.judgements if (item.run, item.model, item.method, item.step) == key)
    return Reported(one, scoring, next(judged, None), exported.report.legend, _own(one, scoring))


def _digests(own: str, scoring: Scoring) -> set[str]:
    """What a results file says of these weights: their digest, or one of the base's and an adapter's."""
    with_base = hashlib.sha256(f"{scoring.base_weights_sha256}\n{own}".encode()).hexdigest()
    return {own, with_base}


def _own(one: ExportedStage, scoring: Scoring) -> list[tuple[Entry, str, float]]:
    found = []
    for entry in one.entries:
        data = BENCHMARKS[entry.task].data if entry.task in BENCHMARKS else None
        if entry.part is None and entry.metric in CARD_METRICS and data in _DATA and entry.value is not None:
            found.append((entry, data, _value(entry, scoring)))
    return found


def _value(entry: Entry, scoring: Scoring) -> float:
    assert entry.value is not None
    for repeat, value in zip(entry.repeats, entry.fold_values or [], strict=True):
        if (repeat.fold, repeat.seed) == (scoring.fold, scoring.seed) and value is not None:
            return value
    return entry.value
