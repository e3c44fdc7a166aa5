"""From scored stages to a report: every metric with its interval, its difference from the base model, and its flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.metrics.benchmarks import HELD_OUT_OF, Metric
from harness.reporting.beyond import beyond
from harness.reporting.conditions import concerned, differences, prompt_difference
from harness.reporting.contamination import Evidence
from harness.reporting.continuations import worst_continuations
from harness.reporting.entries import entries_of, fields, rounded
from harness.reporting.flags import ordered
from harness.reporting.index import Index, ModelKey, model_key
from harness.reporting.legend import legend
from harness.reporting.making import making_seconds
from harness.reporting.matched import matched_base, pair_ids, require_partners, restricted
from harness.reporting.methods import comparisons
from harness.reporting.retention import answers_at_random, retention
from harness.reporting.rows import Step
from harness.reporting.scale import scales
from harness.reporting.scale_text import by_size, first_sentence, is_main
from harness.reporting.schema import (
    SCHEMA_VERSION,
    ConditionDifference,
    Continuation,
    Entry,
    Report,
    Retention,
    Stage,
)
from harness.reporting.schema_types import Flag
from harness.reporting.score_flags import with_score_flags
from harness.reporting.scores import TaskScores, abilities, read_stage
from harness.reporting.stages import Family, Run, StageFiles, families
from harness.reporting.verdict import judgements, verdict


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
    treated: dict[ModelKey, Mapping[str, TaskScores]] = {}
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
            is_last = bool(family.steps) and stage is family.steps[-1]
            shown = _stage(stage, scores, able, kept, conditions)
            if is_last:
                shown = shown.model_copy(update={"making_seconds": rounded(making_seconds(stage))})
            stages.append(shown)
            if is_last and stage.method is not None:
                treated[model_key(shown)] = scores
            entries += found
            continuations += worst_continuations(stage)
    index = Index(stages, entries)
    judged = judgements(index)
    compared = comparisons(index, judged, treated)
    sized = scales(index)
    about_size = [*by_size(index), *(first_sentence(one) for one in sized if is_main(one))]
    return Report(
        schema_version=SCHEMA_VERSION,
        verdict=verdict(judged, [one.text for one in compared], about_size),
        judgements=judged,
        comparisons=compared,
        scale=sized,
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
            for entry in entries_of(stage, scores, matched[task], halves, evidence)
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
                found[task, metric, None] = fields(gain, "beyond", "beyond_p", value="beyond_change")
    return [entry.model_copy(update=found.get((entry.task, entry.metric, entry.part), {})) for entry in entries]


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
        architecture=_architecture(stage),
        stage=stage.stage,
        step=stage.step,
        method=stage.method,
        control=provenance.control,
        matched_by=provenance.matched_by,
        recipe=provenance.recipe and provenance.recipe.kind,
        passes=provenance.passes,
        epoch=rounded(stage.epoch),
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


def _architecture(stage: StageFiles) -> str | None:
    """The model's kind by its config, which files of before do not tell."""
    lineage = stage.provenance.lineage
    told = lineage.shape.get("model_type") if lineage else None
    return str(told) if told else None


def _flagged(entry: Entry, flag: Flag) -> Entry:
    return entry.model_copy(update={"flags": ordered({*entry.flags, flag})})
