"""The records behind every number: read from the samples files, pooled over folds, matched with the base model's."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF, Benchmark
from harness.reporting.samples import read_samples
from harness.reporting.stages import Checkpoint, StageFiles
from harness.storage.provenance import TaskData

log = logging.getLogger(__name__)

Records: TypeAlias = Sequence[Any]


class RunLabel(NamedTuple):
    """Which training run a set of records is of; None where there is one fold, or one seed, or folds are pooled."""

    fold: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class TaskScores:
    """A task's records at one stage: one set for each fold, or a single one.

    `pooled` says that the folds scored different items (held-out pairs), which then stand as one set; `fold_of` is then
    the fold that scored each item, by item key. `setting` is what belongs to the names of a generation task's metrics.
    `prompts` maps, for each set, an item to a digest of what was asked, where the samples say so; `rows` of the task's
    `of` rows were scored, None if that is not recorded; `sealed` says that the samples were checked against a digest.
    """

    task: str
    folds: tuple[int, ...]
    records: tuple[Records, ...]
    data: tuple[TaskData, ...]
    pooled: bool = False
    setting: str | None = None
    fold_of: Mapping[str, int] = field(default_factory=dict)
    prompts: tuple[Mapping[str, str], ...] = ()
    rows: int = 0
    of: int | None = None
    sealed: bool = False

    @property
    def runs(self) -> tuple[RunLabel, ...]:
        """The training run of each set of records."""
        if self.pooled or not self.folds:
            return (RunLabel(),) * len(self.records)
        return tuple(RunLabel(fold) for fold in self.folds)

    @property
    def limited(self) -> bool:
        """Whether rows of the task were left out."""
        return self.of is not None and self.rows < self.of

    @property
    def items(self) -> int | None:
        """How many items the task has, scored or not; a row is an item, or one of the ways in which it is asked."""
        return None if self.of is None else self.of // self.benchmark.times_asked(self.records[0])

    @property
    def benchmark(self) -> Benchmark:
        """How the task's records are reduced to metrics."""
        return BENCHMARKS[self.task]


def read_stage(stage: StageFiles) -> dict[str, TaskScores]:
    """Every task of a stage that has metrics, and those that pool several tasks where all of these were scored."""
    scores = {task: _read_task(stage, task) for task in stage.tasks if task in BENCHMARKS}
    for task, benchmark in BENCHMARKS.items():
        pooled = [scores[name] for name in benchmark.pools if name in scores]
        if (
            task not in scores
            and pooled
            and len(pooled) == len(benchmark.pools)
            and len({part.folds for part in pooled}) == 1
        ):
            scores[task] = TaskScores(
                task,
                pooled[0].folds,
                tuple(_joined(fold) for fold in zip(*(part.records for part in pooled), strict=True)),
                tuple(data for part in pooled for data in part.data),
                rows=sum(part.rows for part in pooled),
                of=_total(part.of for part in pooled),
                sealed=all(part.sealed for part in pooled),
            )
    return scores


def matched_base(step: TaskScores, base: dict[str, TaskScores]) -> TaskScores | None:
    """The base model's records of exactly the step's items; None if it was not scored on them.

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
            f"{step.task}: the base model was scored on data {_short(digests[0])} and a step on {_short(digests[1])}; "
            "score both on the same file"
        )
    if matched.setting != step.setting:
        raise ValueError(
            f"{step.task}: the base model's texts are of {matched.setting} and a step's of {step.setting}, which do "
            "not compare; score both alike, or judge the saved texts alike with `stereoscope classify`"
        )
    if whole == matched.task:
        matched = restricted(matched, step)
        if missing := len(pair_ids(step) - pair_ids(matched)):
            log.warning(
                "%s: the base model was not scored on %d of a step's held-out pairs, so the two are not compared; "
                "score its %s without a limit",
                step.task,
                missing,
                whole,
            )
            return None
    _check_same_items(step.task, "the base model", matched.records[0], "a step", step.records[0], step.benchmark)
    return matched


def pair_ids(scores: TaskScores) -> frozenset[str]:
    """The CrowS-Pairs that a stage scored (prompt form: the questions asked), over all folds where these are joined."""
    return frozenset(scores.benchmark.item_key(record) for record in scores.records[0])


def restricted(whole: TaskScores, step: TaskScores) -> TaskScores:
    """The base model's whole set cut down to a step's held-out pairs, under the held-out task's name."""
    key, pairs = whole.benchmark.item_key, pair_ids(step)
    kept = [record for record in whole.records[0] if key(record) in pairs]
    return replace(whole, task=HELD_OUT_OF[whole.task], records=(kept,), rows=step.rows, of=step.of)


def term_half(target: str) -> Literal["A", "B"]:
    """Which half of StereoSet a target term belongs to, by the parity of its SHA-256: fixed and blind to results.

    Settings are chosen on half A, so that half B is a check that the choice did not make the gain.
    """
    return "B" if hashlib.sha256(target.encode()).digest()[0] % 2 else "A"


def _read_task(stage: StageFiles, task: str) -> TaskScores:
    scored = [checkpoint for checkpoint in stage.checkpoints if task in checkpoint.tasks]
    files = [item for checkpoint in scored if (item := checkpoint.scored_on(task))]
    records, prompts = zip(*(read_samples(item, task) for item in files), strict=True)
    folds = tuple(checkpoint.fold for checkpoint in scored if checkpoint.fold is not None)
    data = tuple(item.provenance.tasks[task] for item in files)
    sealed = all(item.seal(task) for item in files)
    if not BENCHMARKS[task].whole:
        for other in records[1:]:
            _check_same_items(task, "one fold", records[0], "another", other, BENCHMARKS[task])
        return TaskScores(
            task,
            folds,
            records,
            data,
            setting=_setting(stage, task, scored),
            prompts=prompts,
            rows=data[0].n,
            of=files[0].rows_of(task),
            sealed=sealed,
        )
    _check_apart(stage, task, scored, records)
    key = BENCHMARKS[task].item_key
    fold_of = {key(record): fold for fold, own in zip(folds, records, strict=False) for record in own}
    return TaskScores(
        task,
        folds,
        (_joined(records),),
        data,
        pooled=True,
        fold_of=fold_of,
        prompts=({item: asked for fold in prompts for item, asked in fold.items()},),
        rows=sum(one.n for one in data),
        of=_total(item.rows_of(task) for item in files),
        sealed=sealed,
    )


def _setting(stage: StageFiles, task: str, checkpoints: Sequence[Checkpoint]) -> str | None:
    every = (item.provenance.generations.get(task) for one in checkpoints if (item := one.scored_on(task)))
    settings = {generation.setting for generation in every if generation}
    if len(settings) > 1:
        raise ValueError(
            f"{stage.run.folder}: the folds' texts of {task} were drawn or judged in different ways "
            f"({'; '.join(sorted(settings))}), so they have no mean; `stereoscope classify` judges them alike"
        )
    return next(iter(settings), None)


def _check_apart(stage: StageFiles, task: str, checkpoints: Sequence[Checkpoint], records: Sequence[Records]) -> None:
    """A pair may occur twice within a fold (the published file repeats one) but never in two folds."""
    key = BENCHMARKS[task].item_key
    seen: dict[str, Checkpoint] = {}
    for checkpoint, fold in zip(checkpoints, records, strict=True):
        for pair in {key(record) for record in fold}:
            if pair in seen:
                raise ValueError(
                    f"{stage.run.folder}: pair {pair} is held out twice at step {stage.step}, in fold "
                    f"{seen[pair].fold} and in fold {checkpoint.fold}; folds of one cross-fitting never share a pair, "
                    "so these checkpoints come from different splits. Report them apart"
                )
            seen[pair] = checkpoint


def _check_same_items(task: str, one: str, first: Records, other: str, second: Records, benchmark: Benchmark) -> None:
    before = Counter(benchmark.item_key(record) for record in first)
    after = Counter(benchmark.item_key(record) for record in second)
    if before != after:
        changed = sorted(((before - after) + (after - before)).elements())
        raise ValueError(
            f"{task}: {one} has {before.total()} scored items and {other} {after.total()}; not in both: "
            f"{', '.join(changed[:5])}. Score the base and every step with the same items"
        )


def _total(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _joined(sets: Iterable[Records]) -> Records:
    return [record for records in sets for record in records]


def _short(digests: set[str]) -> str:
    return ", ".join(sorted(digest[:12] for digest in digests))
