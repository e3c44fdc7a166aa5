"""leaderboard.json, in the shape of the Open LLM Leaderboard's result files, and leaderboard.md, a table to read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.formatting import NOTHING, parameters, signed
from harness.reporting import methods_page
from harness.reporting.formatting import counted, interval, number, perplexity_change, stage_name, task_name
from harness.reporting.index import PERPLEXITY_TASK, Index, model_key
from harness.reporting.legend import metric_legend
from harness.reporting.methods import Ranked, ranks_of
from harness.reporting.retention import why_not_ranked
from harness.reporting.schema import Entry, Report, Stage
from harness.reporting.schema_types import Flag
from harness.storage.provenance import NOT_KNOWN
from harness.terminal.printable import printable

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None

MAIN_METRICS = ("emt", "regard_negative", "honest_matched")
_MARK = {"broken": "BROKEN"}


class Row(NamedTuple):
    """One line of the leaderboard; entries are None where nothing was scored."""

    stage: Stage
    rank: int | None
    lms: Entry | None
    ss: Entry | None
    icat: Entry | None
    crows: Entry | None
    magnitude: Entry | None
    median: Entry | None
    near: Entry | None
    perplexity: Entry | None
    flags: tuple[Flag, ...]


def rows(report: Report) -> list[Row]:
    """The leaderboard's rows: models by size, base first, then steps, then what these are compared with.

    Steps are ranked by ICAT among themselves, over all models that were scored on the same items. A step that is broken
    or of which nobody knows what it kept has no rank: a model that no longer prefers language to noise would win, and
    one that knows the sentences it is tested on, too.
    """
    index = Index.of(report)
    task = index.stereoset_task()
    unranked = []
    for stage in index.each_base_once():
        crows_task = index.crows_task(stage)
        cells = (
            index.entry(stage, task, "lms"),
            index.entry(stage, task, "ss"),
            index.entry(stage, task, "icat"),
            index.entry(stage, crows_task, "crows_score"),
            index.entry(stage, crows_task, "abs_logprob_diff"),
            index.entry(stage, crows_task, "abs_logprob_diff_median"),
            index.entry(stage, crows_task, "within_one_nat"),
            index.entry(stage, PERPLEXITY_TASK, "word_perplexity"),
        )
        flags = {flag for cell in cells[:-1] if cell for flag in cell.flags}
        unranked.append(Row(stage, None, *cells, tuple(flag for flag in report.legend.flags if flag in flags)))
    items = Counter(_items(row) for row in unranked if _rankable(row) is not None)
    ranked = items.most_common(1)[0][0] if items else None
    able = [row for row in unranked if _rankable(row) is not None and _items(row) == ranked]
    scores = sorted((_rankable(row) or 0.0 for row in able), reverse=True)
    return [row._replace(rank=scores.index(_rankable(row) or 0.0) + 1) if row in able else row for row in unranked]


def leaderboard_json(report: Report) -> str:
    """One object a model and stage: `config_general`, `results` keyed `task|shots`, `versions`; scores in percent."""
    index = Index.of(report)
    ranks = ranks_of(report.comparisons)
    board: list[Json] = [_object(index, row, ranks) for row in rows(report)]
    return json.dumps(board, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def leaderboard_markdown(report: Report) -> str:
    """An aligned Markdown table with a note of what its columns are."""
    index = Index.of(report)
    header = [
        "rank",
        "model",
        "stage",
        "params",
        "kept",
        "n",
        "LMS",
        "SS",
        "ICAT",
        "CrowS",
        "95% interval",
        "abs diff",
        "median",
        "within 1 nat",
        "ppl change",
    ]
    header.append("flags")
    several = any(stage.method for stage in report.stages)
    lines = [header[:2] + ["method"] * several + header[2:]]
    for row in rows(report):
        stage = row.stage
        method = [NOTHING if stage.method is None or stage.stage == "base" else stage.method]
        lines.append(
            [
                _or_nothing(row.rank) if stage.stage == "step" else stage.stage,
                index.model_name(stage),
                *(method if several else ()),
                stage_name(stage),
                parameters(stage.parameters),
                stage.retention.state if stage.retention else NOTHING,
                counted(row.ss or row.crows),
                number(row.lms),
                number(row.ss),
                number(row.icat),
                number(row.crows),
                interval(row.crows),
                number(row.magnitude, 2),
                number(row.median, 2),
                number(row.near),
                perplexity_change(stage),
                ", ".join(_MARK.get(flag, flag) for flag in row.flags),
            ]
        )
    return f"{_table(lines)}\n\n{_note(index)}\n{_compared(report)}{_written(index)}"


def _compared(report: Report) -> str:
    """A table of the methods of each model that has several; "" where none has."""
    tables = [f"\n{_table(methods_page.rows(found))}\n\n{cell(found.text)}\n" for found in report.comparisons]
    return "".join([*tables, f"\n{cell(' '.join(methods_page.NOTES))}\n"] if tables else [])


def _written(index: Index) -> str:
    """A table of what was generated, the main score of each task; "" where nothing was."""
    lines = [["model", "stage", "task", "score", "value", "95% interval", "change", "flags"]]
    for stage in index.stages:
        for entry in index.entries(stage):
            if entry.setting and entry.part is None and entry.metric in MAIN_METRICS:
                lines.append(
                    [
                        index.name(stage),
                        stage_name(stage),
                        task_name(entry.task),
                        f"{metric_legend(entry.metric).label}, {entry.setting}",
                        number(entry),
                        interval(entry),
                        signed(entry.difference),
                        ", ".join(_MARK.get(flag, flag) for flag in entry.flags),
                    ]
                )
    return f"\n{_table(lines)}\n\nGenerated texts: percent; lower is better.\n" if len(lines) > 1 else ""


def _rankable(row: Row) -> float | None:
    if row.stage.stage != "step" or row.icat is None or why_not_ranked(row.stage.retention):
        return None
    return row.icat.value


def _items(row: Row) -> tuple[object, ...]:
    """What two stages must share for their ICAT to be ranked: task, number of items, and the data file."""
    entry = row.icat
    if entry is None:
        return ()
    data = {
        scoring.data[task].sha256
        for scoring in row.stage.scorings
        for task in (entry.task, *_sources(entry.task))
        if task in scoring.data
    }
    return (entry.task, entry.n, *sorted(data))


def _object(index: Index, row: Row, ranks: Mapping[Ranked, dict[str, list[int]]]) -> Json:
    stage = row.stage
    its = ranks.get((model_key(stage), stage.step), {}) if stage.stage == "step" else {}
    shots = {task: count for scoring in stage.scorings for task, count in scoring.shots.items()}
    versions = {task: version for scoring in stage.scorings for task, version in scoring.task_versions.items()}
    results: dict[str, dict[str, Json]] = {}
    noted: dict[str, Json] = {}
    for entry in index.entries(stage):
        source = next((task for task in (entry.task, *_sources(entry.task)) if task in shots), entry.task)
        key = f"{entry.task}|{shots.get(source, 0)}"
        noted[key] = versions.get(source)
        name = entry.metric if entry.part is None else f"{entry.metric}/{entry.part}"
        name += "" if entry.setting is None else f" ({entry.setting})"
        scores = {name: entry.value, f"{name}_low": entry.low, f"{name}_high": entry.high}
        results.setdefault(key, {}).update(scores)
    first = stage.scorings[0]
    return {
        "config_general": {
            "model_name": stage.model,
            "model_sha": first.weights_sha256 or NOT_KNOWN,
            "model_dtype": first.dtype,
            "model_size": stage.parameters,
            "run": stage.run,
            "stage": stage.stage,
            "step": stage.step,
            "method": None if stage.stage == "base" else stage.method,
            "control": stage.control,
            "epoch": stage.epoch,
            "folds": list(stage.folds),
            "seeds": list(stage.seeds),
            "started_after": stage.started_after,
            "rank": row.rank,
            "method_ranks": {metric: list[Json](found) for metric, found in its.items()},
            "making_seconds": stage.making_seconds,
            "passes": stage.passes,
            "flags": list(row.flags),
        },
        "results": {key: dict(scores) for key, scores in results.items()},
        "versions": noted,
    }


def _sources(task: str) -> tuple[str, ...]:
    """The tasks that a derived one was made of: its pool, or the whole set behind the base model's held-out pairs."""
    if (benchmark := BENCHMARKS.get(task)) is None:
        return ()
    return (*benchmark.pools, *([benchmark.whole] if benchmark.whole else []))


def _note(index: Index) -> str:
    task = index.stereoset_task()
    crows = {name for stage in index.stages if (name := index.crows_task(stage))}
    parts = [f"LMS, SS and ICAT: `{task}`, percent." if task else "No StereoSet task was scored."]
    if crows:
        parts.append(
            f"CrowS: {' and '.join(f'`{name}`' for name in sorted(crows, reverse=True))}, percent of pairs in which "
            "the more stereotypical sentence is likelier. SS and CrowS: 50 means no preference."
        )
        parts.append(
            "abs diff, median: mean and median absolute difference of the two log-probabilities, nats; within 1 nat: "
            "percent of pairs closer than that."
        )
    parts.append("ppl change: word perplexity against the base model.")
    if any(stage.stage == "control" for stage in index.stages):
        parts.append("control: random noise in the weights that training changed, of the same size; no method at all.")
    parts.append(
        "Ranked by ICAT among steps scored on the same items; a step that is broken, or of which nobody knows what it "
        "kept, is never ranked."
    )
    return " ".join(parts)


def _table(lines: Sequence[Sequence[str]]) -> str:
    cells = [[cell(text) for text in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    numeric = {
        "rank",
        "params",
        "LMS",
        "SS",
        "ICAT",
        "CrowS",
        "abs diff",
        "median",
        "within 1 nat",
        "ppl change",
        "value",
        "change",
    }
    right = [text in numeric for text in lines[0]]
    rule = [f"{'-' * (width - 1)}:" if flush else "-" * width for width, flush in zip(widths, right, strict=True)]
    padded = [
        [
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        ]
        for line in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def cell(text: str) -> str:
    """Text that stays inside its cell: no line break, no bar, no HTML, no link, nothing that a terminal acts on."""
    escaped = re.sub(r"([|\\`*<>\[\]&~])|(?<=\w)(?=://)|(?<=www)(?=\.)", r"\\\1", printable(" ".join(text.split())))
    return " ".join(escaped.split())


def _or_nothing(value: int | None) -> str:
    return NOTHING if value is None else str(value)
