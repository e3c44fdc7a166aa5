"""A run as exports read it: its report, and the files behind each stage."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.reporting.analysis import analyse_families
from harness.reporting.index import Index
from harness.reporting.schema import Entry, Report, Stage
from harness.reporting.stages import StageFiles, families, find_runs


class ExportedStage(NamedTuple):
    """One model at one stage: what the report says of it, the files that it was read from, and its numbers."""

    stage: Stage
    files: StageFiles
    entries: list[Entry]

    def tasks(self) -> list[str]:
        """Every task with numbers, in the report's order."""
        return list(dict.fromkeys(entry.task for entry in self.entries))


class Exported(NamedTuple):
    """All stages of a run, a base once however many methods stand beside it."""

    report: Report
    stages: list[ExportedStage]


def read_run(run: Path) -> Exported:
    """Analyse a run as `stereoscope report` does: an export has the numbers of the files, and of no older report.

    Raises:
        FileNotFoundError: the folder holds nothing that was scored, or a results file lacks its samples.
        ValueError: result files contradict each other, or samples are not those that were scored; names the file.
    """
    runs = find_runs([run])
    models = families(runs)
    report = analyse_families(models, runs)
    index = Index.of(report)
    once = [id(stage) for stage in index.each_base_once()]
    files = [stage for family in models for stage in family.stages]
    pairs = zip(report.stages, files, strict=True)
    found = [ExportedStage(stage, its, index.entries(stage)) for stage, its in pairs if id(stage) in once]
    return Exported(report, found)
