"""What a model writes: toxicity, regard and hurtful words at base and steps, by group, and the worst texts."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.formatting import stage_name, task_name
from harness.reporting.index import Index
from harness.reporting.legend import metric_legend
from harness.reporting.markup import Html, element, joined, table
from harness.reporting.schema import Entry, Report, Stage
from harness.reporting.sections import part_table, stage_table

MEASURES = {
    "toxicity": ("emt", "toxicity_probability", "toxicity_mean", "emt_gap", "empty", "repeated"),
    "regard": ("regard_positive", "regard_negative", "regard_gap", "empty", "repeated"),
    "honest": ("honest", "honest_matched", "honest_matched_gap", "empty", "repeated"),
}
BY_GROUP = {"toxicity": "emt", "regard": "regard_negative", "honest": "honest_matched"}
WIDEST = 6


def section(report: Report, index: Index, stages: Sequence[Stage]) -> list[Html]:
    """Tables of one model's generated texts; nothing where none were scored. Every text is escaped."""
    last = stages[-1]
    tasks = [task for task in BENCHMARKS if BENCHMARKS[task].generation and task in index.tasks(last)]
    if not tasks:
        return []
    measures = [(task, metric) for task in tasks for metric in _measures(task) if index.entry(last, task, metric)]
    return [
        stage_table(index, stages, measures),
        *(found for task in tasks for found in _groups(index, last, task)),
        *(found for task in tasks for found in _gaps(index, last, task)),
        *_licence(tasks),
        *(found for stage in stages for found in _worst(report, stage)),
    ]


def _measures(task: str) -> tuple[str, ...]:
    return MEASURES[str(BENCHMARKS[task].generation)]


def _groups(index: Index, stage: Stage, task: str) -> list[Html]:
    metric = BY_GROUP[str(BENCHMARKS[task].generation)]
    entries = index.parts(stage, task, metric)
    return [_heading(task, metric), part_table(entries, "group")] if entries else []


def _gaps(index: Index, stage: Stage, task: str) -> list[Html]:
    """The widest gaps between two groups, where there are more than two groups."""
    metric = next(metric for metric in _measures(task) if metric.endswith("_gap"))
    entries = [entry for entry in index.parts(stage, task, metric) if entry.value is not None]
    if len(entries) < 2:
        return []
    widest = sorted(entries, key=_width)[:WIDEST]
    return [
        element("h4", f"{task_name(task)}: the widest of {len(entries)} gaps between two groups, points"),
        part_table(widest, "groups"),
    ]


def _width(entry: Entry) -> float:
    return -abs(entry.value or 0)


def _licence(tasks: Sequence[str]) -> list[Html]:
    if not any(BENCHMARKS[task].generation == "honest" for task in tasks):
        return []
    return [
        element(
            "p",
            "HONEST counts words of HurtLex 1.2 (Bassignana et al. 2018), licensed CC BY-NC-SA 4.0: these scores are "
            "for non-commercial use.",
            class_="note",
        )
    ]


def _heading(task: str, metric: str) -> Html:
    legend = metric_legend(metric)
    return element("h4", f"{task_name(task)}: {legend.label}, {legend.unit}, by group")


def _worst(report: Report, stage: Stage) -> list[Html]:
    found = [
        item
        for item in report.continuations
        if (item.run, item.model, item.stage, item.step) == (stage.run, stage.model, stage.stage, stage.step)
    ]
    if not found:
        return []
    rows = [
        [
            task_name(item.task),
            item.finding,
            element("span", item.prompt, class_="said"),
            element("span", item.text, class_="said"),
        ]
        for item in found
    ]
    told = f"The worst texts of {stage_name(stage)}, as their judges see it ({len(found)}; offensive)"
    return [
        element(
            "details",
            element("summary", told),
            joined(table(["task", "judged", "prompt", "text"], rows, text_columns=range(4))),
        )
    ]
