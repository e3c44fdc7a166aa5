"""Behind the numbers of report.html: flags, what differed in scoring, and where each comes from."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.formatting import NOTHING
from harness.reporting.formatting import stage_name, task_name
from harness.reporting.index import Index
from harness.reporting.markup import Html, bullets, element, joined, table
from harness.reporting.schema import Report, Scoring, Stage
from harness.storage.provenance import NOT_KNOWN


def flag_chips(flags: Sequence[str]) -> Html:
    """Flags as small labels."""
    return joined(*(element("span", flag.replace("_", " "), class_=f"flag {flag}") for flag in flags))


def flags(report: Report) -> Html:
    """What the flags in this report mean; evidence for what each model has seen."""
    raised = {flag for entry in report.entries for flag in entry.flags}
    meanings = [joined(flag_chips([flag]), " ", text) for flag, text in report.legend.flags.items() if flag in raised]
    evidence = [
        joined(element("strong", f"{item.model}, {item.benchmark}: {item.status}. "), item.evidence)
        for item in report.contamination
    ]
    return joined(
        bullets(meanings) if meanings else element("p", "No number here carries a flag."),
        element("h3", "Has the model seen the benchmarks?"),
        bullets(evidence),
    )


def _weights(scoring: Scoring) -> Html:
    """The digest's beginning; of a model behind an API, which server answered."""
    if scoring.weights_sha256 is not None:
        return element("code", scoring.weights_sha256[:16], title=scoring.weights_sha256)
    server = scoring.server
    told = f", {server.name or 'server'} {server.version or NOT_KNOWN} at {server.base_url}" if server else ""
    return element("span", NOT_KNOWN + told)


def provenance(report: Report) -> Html:
    """Digests, versions and commands of every results file."""
    scorings = [
        [
            stage.model,
            stage_name(stage),
            NOTHING if scoring.fold is None else str(scoring.fold),
            NOTHING if scoring.seed is None else str(scoring.seed),
            _weights(scoring),
            scoring.dtype,
            stage.started_after,
            f"{scoring.seconds:.0f} s",
            element("code", scoring.results),
            element("code", scoring.command),
        ]
        for stage in report.stages
        for scoring in stage.scorings
    ]
    header = ["model", "stage", "fold", "seed", "weights sha256", "dtype", "after", "time", "results file", "command"]
    everything = [scoring for stage in report.stages for scoring in stage.scorings]
    data = sorted(
        {(task, item.n, item.origin, item.sha256) for scoring in everything for task, item in scoring.data.items()}
    )
    versions = sorted({f"{name} {version}" for scoring in everything for name, version in scoring.versions.items()})
    return joined(
        table(header, scorings, text_columns=range(10)),
        element("h3", "Data"),
        table(
            ["task", "rows", "origin", "sha256"],
            [[task, f"{n:,}", origin, element("code", sha256)] for task, n, origin, sha256 in data],
            text_columns=(0, 2, 3),
        ),
        element("h3", "Versions"),
        element("p", ", ".join(versions)),
    )


def conditions(index: Index, stages: Sequence[Stage]) -> list[Html]:
    """What was not alike when one model's base and steps were scored, with both values; nothing where all was."""
    found = [(stage, one) for stage in [*stages, *index.controls(stages[-1])] for one in stage.conditions]
    if not found:
        return []
    lines = [
        [
            stage_name(stage),
            one.what,
            element("code", one.base),
            element("code", one.step),
            ", ".join(map(task_name, one.tasks)) or "no score here",
        ]
        for stage, one in found
    ]
    base = "base" if stages[0].stage == "base" else "first training"
    return [
        element("h3", "Not scored alike"),
        element("p", "A change may come from what differs here, and not from training.", class_="note"),
        table(["stage", "what", base, "here", "may move"], lines, text_columns=range(5)),
    ]
