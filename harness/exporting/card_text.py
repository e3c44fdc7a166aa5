"""The text of a card: how the weights were made, what was measured, what follows, and what does not follow."""

from __future__ import annotations

from harness.exporting.card_report import Reported
from harness.exporting.card_training import Training
from harness.metrics.formatting import NOTHING
from harness.reporting.formatting import change, interval, number, stage_name, task_name
from harness.reporting.leaderboard import cell
from harness.reporting.legend import metric_legend
from harness.reporting.schema import Entry

LIMITS = (
    "The numbers are of English benchmarks. They measure preferences between sentences, not what a model does to "
    "people, and a score at its ideal is no proof that a model has no bias.",
    "StereoSet and CrowS-Pairs have items that are known to be flawed (Blodgett et al. 2021, "
    "aclanthology.org/2021.acl-long.81).",
    "Numbers compare before and after, and between models of one family that were scored alike.",
)


def body(training: Training, found: Reported | None) -> str:
    """The card below its metadata, in Markdown; every name is escaped."""
    name = training.name if found is None else f"{found.exported.stage.model}, {stage_name(found.exported.stage)}"
    parts = [f"# {cell(name)}", "## How it was made", *map(cell, _made(training))]
    if found is None:
        parts += ["## What was measured", "No report was given: nothing is said here of bias or of what was lost."]
    else:
        parts += ["## What was measured", *_measured(found), "## Verdict", cell(_verdict(found))]
    return "\n\n".join([*parts, "## Limits", "\n".join(f"- {text}" for text in _limits(found))]) + "\n"


def _made(training: Training) -> list[str]:
    base = "" if training.base is None else f"Made from {training.base}."
    return [" ".join(filter(None, [base, *training.sentences]))]


def _measured(found: Reported) -> list[str]:
    rows = [
        (
            f"{task_name(entry.task)}: {metric_legend(entry.metric).label}",
            _ideal(entry),
            f"{entry.n:,}",
            NOTHING if entry.base_value is None else f"{entry.base_value:.2f}",
            f"{value:.2f}",
            number(entry, 2),
            interval(entry, 2),
            change(entry, 2),
        )
        for entry, _, value in found.own
    ]
    header = ("measure", "ideal", "n", "base", "this checkpoint", "its stage", "95% interval", "change")
    lines = [f"| {' | '.join(map(cell, row))} |" for row in (header, *rows)]
    lines.insert(1, "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |")
    folds = len(found.exported.stage.folds)
    told = (
        f"The stage is the mean over the checkpoints of {folds} folds, of which this is fold {found.scoring.fold}; "
        "held-out pairs of all folds are joined, so that both columns have the same value there."
        if folds > 1
        else "The stage is this checkpoint alone."
    )
    said = f"Scored after the start token {found.exported.stage.started_after}, in {found.scoring.dtype}."
    return ["\n".join(lines), cell(f"{told} Intervals and changes from the base model are the stage's. {said}")]


def _ideal(entry: Entry) -> str:
    return {"higher": "high", "lower": "low"}.get(entry.best or "", entry.best or NOTHING)


def _verdict(found: Reported) -> str:
    if found.judgement is None:
        return "None: a verdict is about a model's last step, beside its base model, and this is another stage."
    return found.judgement.text


def _limits(found: Reported | None) -> list[str]:
    flags = {flag for entry, _, _ in (found.own if found else ()) for flag in entry.flags}
    meanings = found.legend.flags if found else {}
    return [*LIMITS, *(cell(f"{flag}: {told}") for flag, told in meanings.items() if flag in flags)]
