"""From scored stages to a report: every metric with its interval, its difference from the base model, and its flags."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import get_args

from harness.data.sources import SOURCES
from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF
from harness.metrics.statistics import holm
from harness.reporting.contamination import BENCHMARKS_WITH_EVIDENCE, contamination
from harness.reporting.continuations import worst_continuations
from harness.reporting.index import Index
from harness.reporting.legend import LOW_CLUSTERS, LOW_ITEMS, legend, metric_legend
from harness.reporting.measure import Measurement, measured_at
from harness.reporting.retention import retention
from harness.reporting.schema import (
    SCHEMA_VERSION,
    Contamination,
    Continuation,
    Entry,
    Flag,
    Report,
    Retention,
    Stage,
)
from harness.reporting.score_flags import with_score_flags
from harness.reporting.scores import (
    Records,
    TaskScores,
    matched_base,
    pair_ids,
    read_stage,
    restricted,
    term_half,
)
from harness.reporting.stages import Family, Run, StageFiles, families
from harness.reporting.verdict import verdict

_DECIMALS = 6


def analyse(runs: Sequence[Run], *, halves: bool = False) -> Report:
    """Everything that can be said about the runs, from their files alone.

    Args:
        runs: what was scored, from `find_runs`.
        halves: report StereoSet also by halves of its target terms, see `term_half`.

    Raises:
        ValueError: files contradict each other (the same weights twice, other items than the base); says which.
    """
    stages: list[Stage] = []
    entries: list[Entry] = []
    continuations: list[Continuation] = []
    for family in families(runs):
        for stage, found in _family_entries(family, halves):
            found = with_score_flags(stage, found)
            kept = retention(found) if stage.stage == "step" else None
            if kept and kept.degenerate:
                found = [_flagged(entry, "degenerate") for entry in found]
            stages.append(_stage(stage, kept))
            entries += found
            continuations += worst_continuations(stage)
    return Report(
        schema_version=SCHEMA_VERSION,
        verdict=verdict(Index(stages, entries)),
        stages=stages,
        entries=entries,
        contamination=_contamination(stages),
        continuations=continuations,
        legend=legend({entry.metric for entry in entries}),
    )


def _family_entries(family: Family, halves: bool) -> Iterable[tuple[StageFiles, list[Entry]]]:
    base = read_stage(family.base) if family.base else {}
    steps = [(stage, read_stage(stage)) for stage in family.steps]
    # The base's held-out score stands beside the steps' only if all of them held out the same pairs.
    for whole, held_out in HELD_OUT_OF.items():
        pools = {pair_ids(scores[held_out]) for _, scores in steps if held_out in scores}
        if whole in base and len(pools) == 1 and (pool := pools.pop()) <= pair_ids(base[whole]):
            base[held_out] = restricted(base[whole], pool)
    if family.base:
        yield family.base, [entry for scores in base.values() for entry in _entries(family.base, scores, None, halves)]
    for stage, found in steps:
        yield (
            stage,
            [
                entry
                for scores in found.values()
                for entry in _entries(stage, scores, matched_base(scores, base), halves)
            ],
        )


def _entries(stage: StageFiles, scores: TaskScores, base: TaskScores | None, halves: bool) -> list[Entry]:
    benchmark = scores.benchmark
    before = None if base is None else base.records[0]
    flags = _task_flags(stage, scores)
    measured = measured_at(benchmark, scores.records, before)
    entries = [_entry(stage, scores, flags, item, None) for item in measured]
    splits = [(benchmark.parts, True)]
    if halves and benchmark.data == "stereoset":
        splits.append((_by_half, False))
    for split, tested in splits:
        folds = [split(records) for records in scores.records]
        base_parts = {} if before is None else split(before)
        found = {
            part: measured_at(benchmark, [fold[part] for fold in folds], base_parts.get(part))
            for part in sorted(folds[0])
        }
        for metric in (*benchmark.headline, *benchmark.beside):
            items = {part: item for part, items in found.items() for item in items if item.metric == metric}
            corrected = holm({part: item.p_value for part, item in items.items() if item.p_value is not None})
            entries += [
                _entry(
                    stage,
                    scores,
                    flags,
                    item,
                    part,
                    corrected.get(part) if tested and metric in benchmark.headline else None,
                )
                for part, item in items.items()
            ]
    return entries


def _by_half(records: Records) -> dict[str, list[object]]:
    halves: dict[str, list[object]] = {}
    for record in records:
        halves.setdefault(f"half-{term_half(record.target)}", []).append(record)
    return halves


def _entry(
    stage: StageFiles,
    scores: TaskScores,
    task_flags: Sequence[Flag],
    item: Measurement,
    part: str | None,
    p_holm: float | None = None,
) -> Entry:
    provenance = stage.provenance
    metric, _, own_part = item.metric.partition("/")
    value = _rounded(item.value)
    low, high = _ends(item.interval)
    change_low, change_high = _ends(item.change.interval if item.change else None)
    averaged = bool(scores.folds) and not scores.pooled
    flags: set[Flag] = set(task_flags)
    if value is None:
        flags.add("undefined")
    if item.n < LOW_ITEMS or item.clusters < LOW_CLUSTERS:
        flags.add("low_n")
    return Entry(
        run=stage.run.name,
        model=provenance.model,
        parameters=provenance.parameters,
        stage=stage.stage,
        step=stage.step,
        epoch=stage.epoch,
        folds=list(scores.folds),
        started_after=provenance.started_after,
        task=scores.task,
        metric=metric,
        setting=scores.setting,
        part=part or own_part or None,
        best=metric_legend(metric).best,
        value=value,
        low=low,
        high=high,
        n=item.n,
        clusters=item.clusters,
        fold_values=[_rounded(fold) for fold in item.fold_values] if averaged else None,
        base_value=_rounded(item.base_value),
        difference=_rounded(item.change.value) if item.change else None,
        difference_low=change_low,
        difference_high=change_high,
        p_value=_rounded_p(item.p_value),
        p_test=item.p_test,
        p_holm=_rounded_p(p_holm),
        flags=_ordered(flags),
    )


def _task_flags(stage: StageFiles, scores: TaskScores) -> list[Flag]:
    benchmark, provenance = scores.benchmark, stage.provenance
    flags: set[Flag] = set()
    published = {pin.digest for pin in SOURCES[benchmark.data].pins}
    if any(data.origin == "sample" for data in scores.data):
        flags.add("sample_data")
    if any(data.origin != "sample" and data.sha256 not in published for data in scores.data):
        flags.add("altered_data")
    known = contamination(provenance.model, benchmark.data, provenance.pretrained)
    if known.status == "contaminated" or (stage.stage == "step" and scores.task in HELD_OUT_OF):
        flags.add("contaminated")
    return _ordered(flags)


def _stage(stage: StageFiles, kept: Retention | None) -> Stage:
    provenance = stage.provenance
    return Stage(
        run=stage.run.name,
        model=provenance.model,
        parameters=provenance.parameters,
        family=provenance.family,
        stage=stage.stage,
        step=stage.step,
        epoch=_rounded(stage.epoch),
        folds=stage.folds,
        started_after=provenance.started_after,
        started_after_id=provenance.started_after_id,
        scorings=stage.scorings(),
        retention=kept,
        tasks_without_metrics=[task for task in stage.tasks if task not in BENCHMARKS],
    )


def _contamination(stages: Sequence[Stage]) -> list[Contamination]:
    models = {stage.model: stage.scorings[0].pretrained for stage in reversed(stages)}
    return [
        contamination(model, benchmark, pretrained)
        for model, pretrained in sorted(models.items())
        for benchmark in sorted(BENCHMARKS_WITH_EVIDENCE)
    ]


def _flagged(entry: Entry, flag: Flag) -> Entry:
    return entry.model_copy(update={"flags": _ordered({*entry.flags, flag})})


def _ordered(flags: set[Flag]) -> list[Flag]:
    return [flag for flag in get_args(Flag) if flag in flags]


def _rounded(value: float | None) -> float | None:
    """Far more decimals than the data carry, few enough that the last bits of a sum do not change a report."""
    return None if value is None or not math.isfinite(value) else round(value, _DECIMALS) + 0.0


def _rounded_p(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DECIMALS}g}")


def _ends(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    if interval is None or not all(map(math.isfinite, interval)):
        return None, None
    return _rounded(interval[0]), _rounded(interval[1])
