"""The tables of report.html: before and after, by training, by bias type and by half, and all models side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import stdev

from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.formatting import NOTHING, p_text, parameters
from harness.reporting.formatting import (
    beyond_control,
    change,
    counted,
    distance,
    interval,
    number,
    perplexity_change,
    progress,
    stage_name,
    task_name,
)
from harness.reporting.index import PERPLEXITY_TASK, Index
from harness.reporting.leaderboard import rows
from harness.reporting.leakage import SEEN, UNSEEN
from harness.reporting.legend import NEVER_BELOW_0, metric_legend
from harness.reporting.markup import Html, element, joined, table
from harness.reporting.origins import flag_chips
from harness.reporting.schema import Entry, Repeat, Report, Stage
from harness.storage.provenance import NOT_KNOWN

MOST_STEPS = 3
_DECIMALS = {"abs_logprob_diff": 2, "abs_logprob_diff_median": 2, "bits_per_byte": 3}
_SHORT = {"abs_logprob_diff": "|diff|", "abs_logprob_diff_median": "median |diff|", "within_one_nat": "within 1 nat"}
_IDEAL = {"higher": "high", "lower": "low", "50": "50", "0": "0", None: NOTHING}


def title_of(stages: Sequence[Stage], index: Index) -> str:
    """A model's heading."""
    stage = stages[0]
    size = f"parameters {NOT_KNOWN}" if stage.parameters is None else f"{parameters(stage.parameters)} parameters"
    told = [index.name(stage), size]
    folds = max(len(other.folds) for other in stages)
    if folds > 1:
        told.append(f"{folds} cross-fitted folds")
    seeds = max(len(other.seeds) for other in stages)
    if seeds > 1:
        told.append(f"{seeds} seeds")
    told.append(_how_scored(stage))
    if stage.prompt:
        told.append(f"prompt: {stage.prompt}")
    return " \N{MIDDLE DOT} ".join(told)


def _how_scored(stage: Stage) -> str:
    if stage.family == "masked":
        return "masked: pseudo-likelihood, one mask at a time"
    if stage.family == "seq2seq":
        return "encoder-decoder: likelihood of what fills the gap, end token included"
    if stage.prompt:
        return "sentences follow a prompt"
    if not stage.started_after:
        return "a server was asked for texts"
    return f"sentences start after {stage.started_after}"


def before_and_after(index: Index, stages: Sequence[Stage]) -> Html:
    """The headline measures of one model at its base and steps, and the change at the last step."""
    measures = _measures(index, stages)
    if not measures:
        return element("p", "Nothing but generated texts was scored.", class_="note")
    return stage_table(index, stages, measures)


def stage_table(index: Index, stages: Sequence[Stage], measures: Sequence[tuple[str, str]]) -> Html:
    """A row a measure (task and metric), a column a stage, the change at the last step, and its lead over a control."""
    base = [stage for stage in stages if stage.stage == "base"]
    steps = [stage for stage in stages if stage.stage == "step"]
    shown = [*base, *steps[-MOST_STEPS:]]
    last = shown[-1]
    controls = index.controls(last) if steps else []
    lines = []
    for task, metric in measures:
        decimals = _DECIMALS.get(metric, 1)
        cells = [
            _with_interval(index.entry(stage, _task_at(index, stage, task), metric), decimals)
            for stage in [*shown, *controls]
        ]
        entry = index.entry(last, _task_at(index, last, task), metric)
        legend = metric_legend(metric)
        told = [task_name(task), *([entry.setting] if entry and entry.setting else []), legend.unit]
        name = joined(element("strong", legend.label), element("small", ", ".join(told)))
        tested = [_stacked(change(entry, decimals), entry.p_value if entry else None)] if steps else []
        tested += [_stacked(distance(entry, decimals))] if steps else []
        tested += [_stacked(beyond_control(entry, decimals))] if controls else []
        lines.append([name, _IDEAL[legend.best], counted(entry), *cells, *tested])
    header = ["measure", "ideal", "items", *(_heading(stage) for stage in [*shown, *controls])]
    header += [f"change, {_step(last)}", "distance from 50 or 0"] if steps else []
    header += ["beyond the control"] if controls else []
    notes = [_one_sided(metric for _, metric in measures), *(_about(control) for control in controls[:1])]
    if len(steps) > MOST_STEPS:
        notes.append("Earlier steps are in the plot, report.json and leaderboard.md.")
    return joined(table(header, lines), *(element("p", note, class_="note") for note in notes if note))


def by_run(index: Index, stages: Sequence[Stage]) -> list[Html]:
    """How far the trainings of the last step lie apart: the headline measures of each fold and seed."""
    last = stages[-1]
    found = [
        entry
        for task, metric in _measures(index, stages)
        if (entry := index.entry(last, task, metric)) and entry.fold_values
    ]
    runs = max((entry.repeats for entry in found), key=len, default=[])
    if len(runs) < 2:
        return []
    lines = []
    for entry in found:
        own = {(run.fold, run.seed): value for run, value in zip(entry.repeats, entry.fold_values or (), strict=True)}
        values = [own.get((run.fold, run.seed)) for run in runs]
        decimals = _DECIMALS.get(entry.metric, 1)
        known = [value for value in values if value is not None]
        spread = f"{stdev(known):.{decimals + 1}f}" if len(known) > 1 else NOTHING
        told = [NOTHING if value is None else f"{value:.{decimals}f}" for value in values]
        lines.append([f"{metric_legend(entry.metric).label}, {task_name(entry.task)}", *told, spread])
    header = ["measure", *(_run_name(run) for run in runs), "standard deviation"]
    note = "Held-out pairs have one value for all folds of a seed, since each fold scores pairs of its own."
    return [element("h4", f"Each training, {_step(last)}"), table(header, lines), element("p", note, class_="note")]


def _run_name(run: Repeat) -> str:
    return ", ".join(f"{part} {number}" for part, number in run if number is not None) or "all"


def _one_sided(metrics: Iterable[str]) -> str:
    """What must not be read into the interval of a metric that is never below 0; "" without such a metric."""
    labels = [metric_legend(metric).label for metric in dict.fromkeys(metrics) if metric in NEVER_BELOW_0]
    if not labels:
        return ""
    return (
        f"{'; '.join(labels)}: each is the largest of several differences, whichever way round. It is never below 0, "
        "chance alone puts it above 0, and no interval goes below 0: one that ends at 0 shows no difference. The "
        "signed differences say which way each goes."
    )


def broken(stages: Sequence[Stage]) -> list[Html]:
    """A warning for every step that broke the model."""
    return [
        element("p", element("strong", f"{stage_name(stage)} is broken: "), stage.retention.reason, class_="warning")
        for stage in stages
        if stage.retention and stage.retention.state == "broken"
    ]


def by_bias_type(index: Index, stages: Sequence[Stage]) -> list[Html]:
    """StereoSet's and CrowS-Pairs' main score by bias type, at the base and the last step."""
    last = stages[-1]
    found = []
    crows = [(task, "crows_score") for task in index.crows_tasks(last)]
    for task, metric in ((index.stereoset_task(), "ss"), *crows):
        parts = index.parts(last, task, metric) if task else []
        entries = [entry for entry in parts if not _is_half(entry) and entry.part not in (SEEN, UNSEEN)]
        if task and entries:
            beside = ("abs_logprob_diff", *BENCHMARKS[task].beside) if metric == "crows_score" else ()
            columns = {name: {entry.part: entry for entry in index.parts(last, task, name)} for name in beside}
            found += [
                element("h4", f"{task_name(task)}: {metric_legend(metric).label}"),
                part_table(entries, "bias type", columns),
            ]
    return found


def by_half(index: Index, stages: Sequence[Stage]) -> list[Html]:
    """StereoSet by halves of its target terms, if the report has them."""
    last, task = stages[-1], index.stereoset_task()
    if task is None:
        return []
    entries = [
        entry for metric in ("ss", "lms", "icat") for entry in index.parts(last, task, metric) if _is_half(entry)
    ]
    if not entries:
        return []
    note = (
        "Target terms fall into two fixed halves. Settings are chosen by looking at half A only, so half B shows what "
        "is left of a gain that choosing did not make."
    )
    return [
        element("h4", f"{task_name(task)}: halves of the target terms"),
        element("p", note),
        part_table(entries, "half"),
    ]


def all_stages(report: Report) -> Html:
    """The leaderboard, for reports of more than one model."""
    header = ["model", "stage", "parameters", "kept", "items", "LMS", "SS", "ICAT", "CrowS"]
    header += [*_SHORT.values(), "perplexity", "flags"]
    index = Index.of(report)
    lines = [
        [
            index.model_name(row.stage) if row.stage.stage == "base" else index.name(row.stage),
            stage_name(row.stage),
            parameters(row.stage.parameters),
            row.stage.retention.state if row.stage.retention else NOTHING,
            counted(row.ss or row.crows),
            number(row.lms),
            number(row.ss),
            number(row.icat),
            number(row.crows),
            number(row.magnitude, 2),
            number(row.median, 2),
            number(row.near),
            perplexity_change(row.stage),
            flag_chips(row.flags),
        ]
        for row in rows(report)
    ]
    return table(header, lines, text_columns=(0, 1, 3, len(header) - 1))


def _heading(stage: Stage) -> str:
    if stage.stage == "control":
        return stage_name(stage)
    return "base" if stage.stage == "base" else _step(stage)


def _about(control: Stage) -> str:
    size = "raises perplexity as much" if control.matched_by == "perplexity" else "changes the weights as much"
    return (
        f"The {control.control} control is the base with random noise in the weights that training changed, so large "
        f"that it {size} as the last step did. The last column is the step's distance from the ideal minus the "
        "control's: below 0, training did more than damage of the same size."
    )


def _step(stage: Stage) -> str:
    return progress(stage)


def _measures(index: Index, stages: Sequence[Stage]) -> list[tuple[str, str]]:
    """Task and metric of each row: those of the last stage that has any."""
    last = stages[-1]
    wanted = [(index.stereoset_task(), metric) for metric in ("ss", "lms", "icat", "no_answer")]
    of_pairs = (
        "crows_score",
        "abs_logprob_diff",
        "abs_logprob_diff_median",
        "within_one_nat",
        "position_bias",
        "order_flips",
    )
    wanted += [(task, metric) for task in index.crows_tasks(last) for metric in of_pairs]
    wanted += [(task, metric) for task in index.other_tasks(last) for metric in index.headline(last, task)]
    wanted.append((PERPLEXITY_TASK, "word_perplexity"))
    return [(task, metric) for task, metric in wanted if task and index.entry(last, task, metric)]


def _task_at(index: Index, stage: Stage, task: str) -> str | None:
    """The row's task at a stage: the base model may have its CrowS-Pairs score only on all pairs."""
    return index.same_form(stage, task) if task.startswith("crows_pairs") else task


def _with_interval(entry: Entry | None, decimals: int) -> Html:
    if entry is None or entry.low is None:
        return joined(number(entry, decimals))
    return joined(number(entry, decimals), element("small", interval(entry, decimals)))


def _stacked(told: str, p_value: float | None = None) -> Html:
    """A change, and its interval and p value below it: side by side they would be wider than a page."""
    value, _, ends = told.partition(" (")
    p = p_text(p_value)
    below = [ends.rstrip(")"), "" if p_value is None else f"p {p}" if p.startswith("<") else f"p = {p}"]
    return joined(value, *(element("small", line) for line in below if line))


def part_table(
    entries: Sequence[Entry], kind: str, beside: Mapping[str, Mapping[str | None, Entry]] | None = None
) -> Html:
    """A row for each part of one metric: bias types, groups, or halves.

    Args:
        beside: further metrics of each part, which stand in columns of their own.
    """
    more = beside or {}
    lines = [
        [
            f"{str(entry.part).replace('-', ' ')}: {metric_legend(entry.metric).label}"
            if kind == "half"
            else str(entry.part),
            str(entry.n),
            str(entry.clusters),
            NOTHING if entry.base_value is None else f"{entry.base_value:.1f}",
            _with_interval(entry, 1),
            *(number(of_part.get(entry.part), _DECIMALS.get(metric, 1)) for metric, of_part in more.items()),
            _stacked(change(entry)),
            p_text(entry.p_value if kind == "half" else entry.p_holm),
            flag_chips(entry.flags),
        ]
        for entry in entries
    ]
    p = "p" if kind == "half" else "p (Holm)"
    now = "base" if any(entry.stage == "base" for entry in entries) else "last step"
    before = NOTHING if now == "base" else "base"
    header = [kind, "items", "clusters", before, now, *(_SHORT[metric] for metric in more), "change", p, "flags"]
    return table(header, lines, text_columns=(0, len(header) - 1))


def _is_half(entry: Entry) -> bool:
    return entry.part is not None and entry.part.startswith("half-")
