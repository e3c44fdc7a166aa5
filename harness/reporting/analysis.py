"""From scored stages to a report: every metric with its interval, its difference from the base model, and its flags."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.metrics.benchmarks import HELD_OUT_OF, Metric
from harness.metrics.kinks import ICAT_OF
from harness.metrics.statistics import holm
from harness.reporting.beyond import beyond
from harness.reporting.conditions import concerned, differences, prompt_difference
from harness.reporting.contamination import Evidence
from harness.reporting.continuations import worst_continuations
from harness.reporting.flags import ordered, task_flags
from harness.reporting.index import Index
from harness.reporting.leakage import by_words
from harness.reporting.legend import LOW_CLUSTERS, LOW_ITEMS, legend, metric_legend
from harness.reporting.matched import matched_base, pair_ids, require_partners, restricted
from harness.reporting.measure import Estimate, Measurement, measured_at
from harness.reporting.retention import answers_at_random, retention
from harness.reporting.rows import Step
from harness.reporting.schema import (
    SCHEMA_VERSION,
    ConditionDifference,
    Continuation,
    Covers,
    Entry,
    Flag,
    Repeat,
    Report,
    Retention,
    Stage,
)
from harness.reporting.score_flags import with_score_flags
from harness.reporting.scores import Records, TaskScores, abilities, read_stage, term_half
from harness.reporting.stages import Family, Run, StageFiles, families
from harness.reporting.verdict import judgements, verdict

_DECIMALS = 6


def analyse(runs: Sequence[Run], *, halves: bool = False) -> Report:
    """Everything that can be said about the runs, from their files alone.

    Args:
        runs: what was scored, from `find_runs`.
        halves: report StereoSet also by halves of its target terms, see `term_half`.

    Raises:
        ValueError: files contradict each other (the same weights twice, other items than the base); says which.
    """
    return analyse_families(families(runs), runs, halves=halves)


def analyse_families(models: Sequence[Family], runs: Sequence[Run], *, halves: bool = False) -> Report:
    """The same of models whose stages are known; `runs` are those that the stages belong to."""
    stages: list[Stage] = []
    entries: list[Entry] = []
    continuations: list[Continuation] = []
    evidence = Evidence([stage.provenance for family in models for stage in family.stages])
    named: dict[str, Metric] = {}
    for family in models:
        for stage, scores, conditions, found in _family_entries(family, halves, evidence):
            found = with_score_flags(stage, found)
            able = abilities(scores)
            kept = None if stage.stage == "base" else retention(found, stage.run.thresholds, able)
            named |= {name: one for task in scores.values() for name, one in task.benchmark.legend.items()}
            if kept and kept.state == "broken":
                found = [_flagged(entry, "broken") for entry in found]
            at_random = {entry.task for entry in found if answers_at_random(found, entry.task)}
            found = [_flagged(entry, "at_random") if entry.task in at_random else entry for entry in found]
            stages.append(_stage(stage, scores, able, kept, conditions))
            entries += found
            continuations += worst_continuations(stage)
    index = Index(stages, entries)
    judged = judgements(index)
    return Report(
        schema_version=SCHEMA_VERSION,
        verdict=verdict(judged, index),
        judgements=judged,
        thresholds={run.name: run.thresholds for run in runs},
        stages=stages,
        entries=entries,
        contamination=evidence.all(),
        continuations=continuations,
        legend=legend({entry.metric for entry in entries}, named),
    )


def _family_entries(
    family: Family, halves: bool, evidence: Evidence
) -> Iterable[tuple[StageFiles, Mapping[str, TaskScores], list[ConditionDifference], list[Entry]]]:
    base = read_stage(family.base) if family.base else {}
    steps = [(stage, read_stage(stage)) for stage in family.steps]
    controls = [read_stage(stage) for stage in family.controls]
    # The base's and the controls' held-out scores stand beside the steps' only if all of these held out the same pairs.
    for whole, held_out in HELD_OUT_OF.items():
        pools = {pair_ids(scores[held_out]): scores[held_out] for _, scores in steps if held_out in scores}
        if len(pools) != 1:
            continue
        (pool,) = pools
        for scored in (base, *controls):
            if whole in scored and pool <= pair_ids(scored[whole]):
                scored[held_out] = restricted(scored[whole], pools[pool])
    last = family.steps[-1] if family.steps else None
    others = [*steps, *zip(family.controls, controls, strict=True)]
    for stage, found in [*([(family.base, base)] if family.base else []), *others]:
        matched = {task: None if found is base else matched_base(scores, base) for task, scores in found.items()}
        for task, before in matched.items():
            if before is not None:
                require_partners(found[task], before)
        conditions = differences(None if found is base else family.base, stage)
        conditions += [one for task in found if (one := prompt_difference(found[task], matched[task]))]
        tasks = concerned(conditions, found.values())
        entries = [
            _flagged(entry, "conditions_differ") if entry.task in tasks else entry
            for task, scores in found.items()
            for entry in _entries(stage, scores, matched[task], halves, evidence)
        ]
        if stage is last and controls:
            entries = _beside_control(entries, found, controls[0])
        yield stage, found, conditions, entries


def _beside_control(
    entries: Sequence[Entry], step: Mapping[str, TaskScores], control: dict[str, TaskScores]
) -> list[Entry]:
    """The entries of the step that a control was made as large as, with what the step did beyond it."""
    found: dict[tuple[str, str, str | None], dict[str, float | None]] = {}
    for task, scores in step.items():
        if (other := matched_base(scores, control, "the control")) is not None:
            run = Step(scores.records, scores.runs, scores.fold_of)
            for metric, gain in beyond(scores.benchmark, run, other.records).items():
                found[task, metric, None] = _fields(gain, "beyond", "beyond_p", value="beyond_change")
    return [entry.model_copy(update=found.get((entry.task, entry.metric, entry.part), {})) for entry in entries]


def _entries(
    stage: StageFiles, scores: TaskScores, base: TaskScores | None, halves: bool, evidence: Evidence
) -> list[Entry]:
    benchmark = scores.benchmark
    before = () if base is None else base.records
    flags = task_flags(stage, scores, base, evidence)
    step = Step(scores.records, scores.runs, scores.fold_of)
    measured = measured_at(benchmark, step, before)
    undecided = _undecided(measured)
    entries = [_entry(stage, scores, flags, item, None, undecided) for item in measured]
    splits = [(benchmark.parts, True)]
    if halves and benchmark.data == "stereoset":
        splits.append((_by_half, False))
    for split, tested in splits:
        folds = [split(records) for records in scores.records]
        base_parts = [split(records) for records in before]
        found = {
            part: measured_at(
                benchmark,
                replace(step, records=[fold[part] for fold in folds]),
                [parts[part] for parts in base_parts if part in parts],
                (*benchmark.headline, *benchmark.beside),
            )
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
                    _undecided(found[part]),
                    corrected.get(part) if tested and metric in benchmark.headline else None,
                )
                for part, item in items.items()
            ]
    if scores.task in HELD_OUT_OF.values():
        apart = by_words(benchmark, step, before)
        entries += [_entry(stage, scores, flags, item, part, frozenset()) for part, item in apart]
    return entries


def _undecided(measured: Iterable[Measurement]) -> frozenset[str]:
    """ICATs whose stereotype score may lie on either side of 50, where the smaller of two estimates is too small."""
    near = {item.metric for item in measured if item.low is not None and item.high and item.low < 50 < item.high}
    return frozenset(icat for icat, (_, score) in ICAT_OF.items() if score in near)


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
    undecided: frozenset[str],
    p_holm: float | None = None,
) -> Entry:
    provenance = stage.provenance
    metric, _, own_part = item.metric.partition("/")
    value = _rounded(item.value)
    # A pooled set of all folds is one number, of which each seed has its own.
    averaged = bool(scores.seeds) or (bool(scores.folds) and not scores.pooled)
    flags: set[Flag] = set(task_flags)
    if value is None:
        flags.add("undefined")
    elif item.metric in undecided:
        flags.add("biased_near_50")
    if item.n < LOW_ITEMS or item.clusters < LOW_CLUSTERS:
        flags.add("low_n")
    return Entry(
        run=stage.run.name,
        model=provenance.model,
        parameters=provenance.parameters,
        stage=stage.stage,
        step=stage.step,
        method=stage.method,
        control=provenance.control,
        epoch=stage.epoch,
        folds=list(scores.folds),
        seeds=list(scores.seeds),
        started_after=provenance.started_after,
        prompt=stage.prompt,
        task=scores.task,
        metric=metric,
        setting=scores.setting,
        part=part or own_part or None,
        best=(scores.benchmark.legend.get(metric) or metric_legend(metric)).best,
        value=value,
        low=_rounded(item.low),
        high=_rounded(item.high),
        n=item.n,
        of=scores.items if part is None else None if scores.limited else item.n,
        clusters=item.clusters,
        fold_values=[_rounded(fold) for fold in item.run_values] if averaged else None,
        repeats=[Repeat(**run._asdict()) for run in scores.runs] if averaged else [],
        base_value=_rounded(item.base_value),
        **_fields(item.change, "difference", "p_value"),
        p_holm=_rounded_p(p_holm),
        **_fields(item.distance, "distance", "distance_p", value="distance_change"),
        **{name: number for name, number in _fields(item.ratio, "ratio", "ratio_p").items() if name != "ratio_p"},
        covers=_covers(item),
        no_interval=item.no_interval,
        flags=ordered(flags),
    )


def _fields(found: Estimate | None, name: str, p_value: str, value: str | None = None) -> dict[str, float | None]:
    """An estimate as an entry's fields: its value, both ends of its interval and its p value."""
    one = found or Estimate(math.nan)
    ends = {f"{name}_low": _rounded(one.low), f"{name}_high": _rounded(one.high)}
    return {value or name: _rounded(one.value), **ends, p_value: _rounded_p(one.p_value)}


def _covers(item: Measurement) -> Covers | None:
    if item.low is None and (item.change is None or item.change.low is None):
        return None
    return "items and training" if item.trained else "items"


def _stage(
    stage: StageFiles,
    scores: Mapping[str, TaskScores],
    able: list[str],
    kept: Retention | None,
    conditions: list[ConditionDifference],
) -> Stage:
    provenance = stage.provenance
    return Stage(
        run=stage.run.name,
        model=provenance.model,
        parameters=provenance.parameters,
        family=provenance.family,
        stage=stage.stage,
        step=stage.step,
        method=stage.method,
        control=provenance.control,
        matched_by=provenance.matched_by,
        epoch=_rounded(stage.epoch),
        folds=stage.folds,
        seeds=stage.seeds,
        left_out=list(stage.left_out),
        started_after=provenance.started_after,
        started_after_id=provenance.started_after_id,
        prompt=stage.prompt,
        conditions=conditions,
        scorings=stage.scorings(),
        retention=kept,
        abilities=able,
        tasks_without_metrics=[task for task in stage.tasks if task not in scores],
    )


def _flagged(entry: Entry, flag: Flag) -> Entry:
    return entry.model_copy(update={"flags": ordered({*entry.flags, flag})})


def _rounded(value: float | None) -> float | None:
    """Far more decimals than the data carry, few enough that the last bits of a sum do not change a report."""
    return None if value is None or not math.isfinite(value) else round(value, _DECIMALS) + 0.0


def _rounded_p(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DECIMALS}g}")
