"""The records behind every number: read from the samples files, and pooled over folds and groups of tasks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from harness.metrics import other_tasks
from harness.metrics.benchmarks import BENCHMARKS, Benchmark
from harness.reporting.samples import WRONG_TYPES, check_same_items, read_samples
from harness.reporting.stages import Checkpoint, StageFiles
from harness.storage.provenance import TaskData
from harness.storage.reading import brief
from harness.storage.results import AGAIN, Scored

log = logging.getLogger(__name__)

Records: TypeAlias = Sequence[Any]


class RunLabel(NamedTuple):
    """Fold and seed of a set of records; None without cross-fitting or where folds are pooled, and without seeds."""

    fold: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class TaskScores:
    """A task's records at one stage: one set for each repeat (a fold with a seed), of the same items in each.

    `pooled` says that the folds scored different items (held-out pairs). Those of one seed then stand as one set, so
    that there are as many sets as seeds; `fold_of` is the fold that scored each item, by item key. `runs` says of each
    set which fold and seed it is of, seed by seed; `folds` are all that had a part. `setting` is what belongs to the
    names of a generation task's metrics. `prompts` maps, for each set, an item to a digest of what was asked, where the
    samples say so; `rows` of the task's `of` rows were scored, None if that is not recorded; `sealed` says that the
    samples were checked against a digest. `benchmark` reduces the records to metrics.
    """

    task: str
    benchmark: Benchmark
    folds: tuple[int, ...]
    runs: tuple[RunLabel, ...]
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
    def seeds(self) -> tuple[int, ...]:
        """All that had a part, ascending."""
        return tuple(sorted({run.seed for run in self.runs if run.seed is not None}))

    @property
    def limited(self) -> bool:
        """Whether rows of the task were left out."""
        return self.of is not None and self.rows < self.of

    @property
    def items(self) -> int | None:
        """How many items the task has, scored or not; a row is an item, or one of the ways in which it is asked."""
        return None if self.of is None else self.of // self.benchmark.times_asked(self.records[0])

    @property
    def is_ours(self) -> bool:
        """Whether it is a benchmark of this project or a plugin, and no other task of lm-eval."""
        return self.task in BENCHMARKS


def read_stage(stage: StageFiles) -> dict[str, TaskScores]:
    """Every task of a stage that has metrics, and those that pool several tasks where all of these were scored."""
    scores: dict[str, TaskScores] = {}
    for task in stage.tasks:
        if benchmark := benchmark_of(stage, task):
            scores[task] = _read_task(stage, task, benchmark)
    for benchmark in (*BENCHMARKS.values(), *_groups(stage, scores)):
        parts = [scores[name] for name in benchmark.pools if name in scores]
        complete = parts and len(parts) == len(benchmark.pools) and len({part.runs for part in parts}) == 1
        if complete and benchmark.name not in scores:
            scores[benchmark.name] = _together(benchmark, parts)
    return scores


def abilities(scores: Mapping[str, TaskScores]) -> list[str]:
    """The tasks of lm-eval's own that say whether a model kept its abilities: a group for all of its tasks."""
    others = [one for one in scores.values() if not one.is_ours]
    grouped = {part for one in others for part in one.benchmark.pools}
    return sorted(one.task for one in others if one.task not in grouped and one.benchmark.headline)


def benchmark_of(stage: StageFiles, task: str) -> Benchmark | None:
    """How a task counts: one that is not ours as the first of its results files averages it; None if nobody knows."""
    if task in BENCHMARKS:
        return BENCHMARKS[task]
    first = next(item for checkpoint in stage.checkpoints if (item := checkpoint.scored_on(task)))
    try:
        return other_tasks.benchmark_of(task, list(first.samples(task)), first.results)
    except WRONG_TYPES as error:
        raise ValueError(
            f"{first.samples_file(task)}: not a samples file of lm-eval ({brief(error)}); {AGAIN}"
        ) from error


def _groups(stage: StageFiles, scores: Mapping[str, TaskScores]) -> Iterator[Benchmark]:
    """The groups of lm-eval's own whose tasks were all scored, those within another group left out."""
    members: dict[str, list[str]] = {}
    for checkpoint in stage.checkpoints:
        for scored in checkpoint.scored:
            members |= scored.subtasks
    for group in sorted(members.keys() - BENCHMARKS.keys() - {name for names in members.values() for name in names}):
        leaves = _leaves(group, members)
        parts = [scores[task] for task in leaves if task in scores and not scores[task].is_ours]
        if 1 < len(parts) == len(leaves) and (one := other_tasks.pooled(group, [part.benchmark for part in parts])):
            yield one


def _leaves(group: str, members: Mapping[str, Sequence[str]]) -> list[str]:
    return [leaf for name in members.get(group, ()) for leaf in (_leaves(name, members) or [name])]


def _together(benchmark: Benchmark, parts: Sequence[TaskScores]) -> TaskScores:
    return TaskScores(
        benchmark.name,
        benchmark,
        parts[0].folds,
        parts[0].runs,
        tuple(_joined(fold) for fold in zip(*(part.records for part in parts), strict=True)),
        tuple(data for part in parts for data in part.data),
        rows=sum(part.rows for part in parts),
        of=_total(part.of for part in parts),
        sealed=all(part.sealed for part in parts),
    )


def term_half(target: str) -> Literal["A", "B"]:
    """Which half of StereoSet a target term belongs to, by the parity of its SHA-256: fixed and blind to results.

    Settings are chosen on half A, so that half B is a check that the choice did not make the gain.
    """
    return "B" if hashlib.sha256(target.encode()).digest()[0] % 2 else "A"


def _read_task(stage: StageFiles, task: str, benchmark: Benchmark) -> TaskScores:
    scored = [checkpoint for checkpoint in stage.checkpoints if task in checkpoint.tasks]
    if benchmark.whole:
        return _pooled(stage, benchmark, _complete(stage, task, scored))
    files = _files(task, scored)
    records, prompts = zip(*(read_samples(item, benchmark) for item in files), strict=True)
    for other in records[1:]:
        check_same_items(task, "one fold", records[0], "another", other, benchmark)
    return TaskScores(
        task,
        benchmark,
        _folds(scored),
        tuple(RunLabel(checkpoint.fold, checkpoint.seed) for checkpoint in scored),
        records,
        tuple(item.provenance.tasks[task] for item in files),
        setting=_setting(stage, task, scored),
        prompts=prompts,
        rows=files[0].provenance.tasks[task].n,
        of=files[0].rows_of(task),
        sealed=all(item.seal(task) for item in files),
    )


def _pooled(stage: StageFiles, benchmark: Benchmark, of_seed: Mapping[int | None, Sequence[Checkpoint]]) -> TaskScores:
    """Held-out pairs: those of a seed's folds as one set."""
    task, key = benchmark.name, benchmark.item_key
    sets: list[Records] = []
    prompts: list[dict[str, str]] = []
    fold_of: dict[str, int] = {}
    for checkpoints in of_seed.values():
        read = [read_samples(item, benchmark) for item in _files(task, checkpoints)]
        records = [own for own, _ in read]
        _check_apart(stage, benchmark, checkpoints, records)
        sets.append(_joined(records))
        prompts.append({item: asked for _, fold in read for item, asked in fold.items()})
        check_same_items(task, "one seed", sets[0], "another", sets[-1], benchmark)
        for checkpoint, own in zip(checkpoints, records, strict=True):
            if checkpoint.fold is not None:
                fold_of |= dict.fromkeys(map(key, own), checkpoint.fold)
    everything = [checkpoint for checkpoints in of_seed.values() for checkpoint in checkpoints]
    files, first = _files(task, everything), _files(task, next(iter(of_seed.values())))
    return TaskScores(
        task,
        benchmark,
        _folds(everything),
        tuple(RunLabel(None, seed) for seed in of_seed),
        tuple(sets),
        tuple(item.provenance.tasks[task] for item in files),
        pooled=True,
        fold_of=fold_of,
        prompts=tuple(prompts),
        rows=sum(item.provenance.tasks[task].n for item in first),
        of=_total(item.rows_of(task) for item in first),
        sealed=all(item.seal(task) for item in files),
    )


def _complete(
    stage: StageFiles, task: str, checkpoints: Sequence[Checkpoint]
) -> dict[int | None, Sequence[Checkpoint]]:
    """The checkpoints of each seed that has all folds: a seed that lacks some has not scored the same pairs."""
    of_seed: dict[int | None, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        of_seed.setdefault(checkpoint.seed, []).append(checkpoint)
    most = _folds(max(of_seed.values(), key=len))
    for seed, found in of_seed.items():
        if _folds(found) != most:
            log.warning(
                "%s, %s at step %s: seed %s has folds %s and not %s, so its held-out pairs are left out",
                stage.run.folder,
                task,
                stage.step,
                seed,
                _folds(found),
                most,
            )
    return {seed: found for seed, found in of_seed.items() if _folds(found) == most}


def _files(task: str, checkpoints: Sequence[Checkpoint]) -> list[Scored]:
    return [item for checkpoint in checkpoints if (item := checkpoint.scored_on(task))]


def _folds(checkpoints: Sequence[Checkpoint]) -> tuple[int, ...]:
    return tuple(sorted({checkpoint.fold for checkpoint in checkpoints if checkpoint.fold is not None}))


def _setting(stage: StageFiles, task: str, checkpoints: Sequence[Checkpoint]) -> str | None:
    every = (item.provenance.generations.get(task) for one in checkpoints if (item := one.scored_on(task)))
    settings = {generation.setting for generation in every if generation}
    if len(settings) > 1:
        raise ValueError(
            f"{stage.run.folder}: the folds' texts of {task} were drawn or judged in different ways "
            f"({'; '.join(sorted(settings))}), so they have no mean; `stereoscope classify` judges them alike"
        )
    return next(iter(settings), None)


def _check_apart(
    stage: StageFiles, benchmark: Benchmark, checkpoints: Sequence[Checkpoint], records: Sequence[Records]
) -> None:
    """A pair may occur twice within a fold (the published file repeats one) but never in two folds."""
    key = benchmark.item_key
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


def _total(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _joined(sets: Iterable[Records]) -> Records:
    return [record for records in sets for record in records]
