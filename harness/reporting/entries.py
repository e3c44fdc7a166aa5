"""One task at one stage as entries of report.json: each metric, of the whole and of parts, with its flags."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.metrics.benchmarks import HELD_OUT_OF
from harness.metrics.kinks import ICAT_OF
from harness.metrics.statistics import holm
from harness.reporting.contamination import Evidence
from harness.reporting.flags import ordered, task_flags
from harness.reporting.leakage import by_words
from harness.reporting.legend import LOW_CLUSTERS, LOW_ITEMS, metric_legend
from harness.reporting.measure import Estimate, Measurement, measured_at
from harness.reporting.rows import Step
from harness.reporting.schema import Entry, Repeat
from harness.reporting.schema_types import Covers, Flag
from harness.reporting.scores import Records, TaskScores, term_half
from harness.reporting.stages import StageFiles

DECIMALS = 6


def entries_of(
    stage: StageFiles, scores: TaskScores, base: TaskScores | None, halves: bool, evidence: Evidence
) -> list[Entry]:
    """Every number of a task at a stage.

    Args:
        base: the base model's scores of the same items, None without one.
        halves: also by halves of StereoSet's target terms.
    """
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
    value = rounded(item.value)
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
        low=rounded(item.low),
        high=rounded(item.high),
        n=item.n,
        of=scores.items if part is None else None if scores.limited else item.n,
        clusters=item.clusters,
        fold_values=[rounded(fold) for fold in item.run_values] if averaged else None,
        repeats=[Repeat(**run._asdict()) for run in scores.runs] if averaged else [],
        base_value=rounded(item.base_value),
        **fields(item.change, "difference", "p_value"),
        p_holm=rounded_p(p_holm),
        **fields(item.distance, "distance", "distance_p", value="distance_change"),
        **{name: number for name, number in fields(item.ratio, "ratio", "ratio_p").items() if name != "ratio_p"},
        covers=_covers(item),
        no_interval=item.no_interval,
        flags=ordered(flags),
    )


def fields(found: Estimate | None, name: str, p_value: str, value: str | None = None) -> dict[str, float | None]:
    """An estimate as an entry's fields: its value, both ends of its interval and its p value."""
    one = found or Estimate(math.nan)
    ends = {f"{name}_low": rounded(one.low), f"{name}_high": rounded(one.high)}
    return {value or name: rounded(one.value), **ends, p_value: rounded_p(one.p_value)}


def _covers(item: Measurement) -> Covers | None:
    if item.low is None and (item.change is None or item.change.low is None):
        return None
    return "items and training" if item.trained else "items"


def rounded(value: float | None) -> float | None:
    """Far more decimals than the data carry, few enough that the last bits of a sum do not change a report."""
    return None if value is None or not math.isfinite(value) else round(value, DECIMALS) + 0.0


def rounded_p(value: float | None) -> float | None:
    """A p value with as many digits, however small it is."""
    return None if value is None else float(f"{value:.{DECIMALS}g}")
