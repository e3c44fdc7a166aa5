"""A table for papers: what was scored, a row a model and stage, a value and its 95% interval a cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from harness.exporting.source import Exported, read_run
from harness.metrics.formatting import NOTHING
from harness.reporting.formatting import stage_name, task_name
from harness.reporting.index import PERPLEXITY_TASK, Index
from harness.reporting.leaderboard import cell as markdown
from harness.reporting.leaderboard import rows as board
from harness.reporting.schema import Entry, Report, Stage
from harness.terminal.printable import printable

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    NOTHING: "--",
}


class Column(NamedTuple):
    """A measure: its heading, where its ideal lies, decimals, and the number of each stage."""

    heading: str
    ideal: str
    decimals: int
    of: Callable[[Stage], Entry | None]


def export(run: Path, kind: Literal["latex", "markdown"]) -> str:
    """The table of a run.

    Raises:
        FileNotFoundError, ValueError: as `read_run`.
    """
    exported = read_run(run)
    return (latex if kind == "latex" else markdown_table)(exported)


def latex(exported: Exported) -> str:
    """A `table` of LaTeX; needs the package booktabs. Every name is escaped."""
    columns = columns_of(exported.report)
    header = ["Model", "Stage", *(column.heading for column in columns)]
    ideals = ["", "ideal", *(column.ideal for column in columns)]
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\begin{tabular}{ll" + "r" * len(columns) + "}",
        r"\toprule",
        _latex_row(header),
        _latex_row(ideals),
        r"\midrule",
        *(_latex_row(line) for line in _body(exported, columns)),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{escaped(caption(exported))}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def markdown_table(exported: Exported) -> str:
    """The same as a Markdown table with its caption below. Every name is escaped."""
    columns = columns_of(exported.report)
    header = ["Model", "Stage", *(f"{column.heading} (ideal {column.ideal})" for column in columns)]
    rule = ["---", "---", *("---:" for _ in columns)]
    body = [[markdown(text) for text in line] for line in (header, *_body(exported, columns))]
    lines = [body[0], rule, *body[1:]]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", markdown(caption(exported))]) + "\n"


def escaped(text: str) -> str:
    """A text that LaTeX prints as it stands, on one line; what a terminal would act on is spelled out."""
    told = " ".join(printable(text).split())
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found.group()], told)


def columns_of(report: Report) -> list[Column]:
    """The measures of the leaderboard that any stage has: those of StereoSet, CrowS-Pairs and WikiText-2."""
    index = Index.of(report)
    task = index.stereoset_task()
    every = [
        Column("LMS", "100", 1, lambda stage: index.entry(stage, task, "lms")),
        Column("SS", "50", 1, lambda stage: index.entry(stage, task, "ss")),
        Column("ICAT", "100", 1, lambda stage: index.entry(stage, task, "icat")),
        Column("CrowS", "50", 1, lambda stage: index.entry(stage, index.crows_task(stage), "crows_score")),
        Column(
            "mean abs. log P difference",
            "0",
            2,
            lambda stage: index.entry(stage, index.crows_task(stage), "abs_logprob_diff"),
        ),
        Column("word perplexity", "low", 1, lambda stage: index.entry(stage, PERPLEXITY_TASK, "word_perplexity")),
    ]
    return [column for column in every if any(column.of(stage) for stage in index.stages)]


def caption(exported: Exported) -> str:
    """What the columns are of, and what the intervals cover."""
    index = Index.of(exported.report)
    tasks = [index.stereoset_task(), *(index.crows_task(one.stage) for one in exported.stages)]
    told = [task_name(task) for task in dict.fromkeys(tasks) if task]
    covers = {entry.covers for one in exported.stages for entry in one.entries if entry.covers}
    of = "the choice of items" if covers <= {"items"} else "the choice of items and, of trained models, the training"
    flags = sorted({flag for row in board(exported.report) for flag in row.flags})
    parts = [
        f"{'; '.join(told)}." if told else "",
        f"In brackets: 95% intervals, which cover {of}.",
        f"Flags of these numbers: {', '.join(flags)}." if flags else "",
    ]
    return " ".join(filter(None, parts))


def _body(exported: Exported, columns: Sequence[Column]) -> list[list[str]]:
    index = Index.of(exported.report)
    return [
        [
            index.name(one.stage) if one.stage.stage != "base" else index.model_name(one.stage),
            stage_name(one.stage),
            *(_number(column.of(one.stage), column.decimals) for column in columns),
        ]
        for one in exported.stages
    ]


def _number(entry: Entry | None, decimals: int) -> str:
    if entry is None or entry.value is None:
        return NOTHING
    told = f"{entry.value:.{decimals}f}"
    if entry.low is None or entry.high is None:
        return told
    return f"{told} [{entry.low:.{decimals}f}, {entry.high:.{decimals}f}]"


def _latex_row(cells: Sequence[str]) -> str:
    # Braces, since a row that begins with [ would be the optional argument of the \\ before it.
    return " & ".join(f"{{{escaped(text)}}}" for text in cells) + r" \\"
