"""Two scored models or stages, item by item: what moved between them, and whether the second is worse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.reporting.analysis import analyse_families
from harness.reporting.formatting import change, counted, number, task_name
from harness.reporting.index import Index
from harness.reporting.legend import metric_legend
from harness.reporting.schema import Entry, Judgement, Report, Stage
from harness.reporting.stages import Family, StageFiles, families, find_runs
from harness.reporting.thresholds import Thresholds


@dataclass(frozen=True)
class Comparison:
    """B against A on the items of both; `report` holds A as the base and B as its step."""

    a: str
    b: str
    report: Report

    @property
    def judgement(self) -> Judgement:
        """What moved, over the verdict's family of measures."""
        return self.report.judgements[0]

    @property
    def stage(self) -> Stage:
        """B, with what it kept of A."""
        return self.report.stages[-1]

    @property
    def entries(self) -> list[Entry]:
        """Every number of B that A has too, on the same items, parts left out."""
        found = Index.of(self.report).entries(self.stage)
        return [entry for entry in found if entry.part is None and entry.base_value is not None]

    @property
    def is_worse(self) -> bool:
        """Whether a headline measure moved away from its ideal, or B has lost what A could do."""
        kept = self.stage.retention
        return any(one.moved == "rose" for one in self.judgement.family) or (
            kept is not None and kept.state == "broken"
        )

    def table(self) -> str:
        """The headline measures and what was kept, as lines of Markdown."""
        rows = [
            "| measure | items | A | B | change (95%) | nearer to the ideal |",
            "| --- | ---: | ---: | ---: | --- | --- |",
        ]
        index = Index.of(self.report)
        for one in self.judgement.family:
            entry = index.entry(self.stage, one.task, one.metric)
            told = one.moved if one.smallest is None else f"{one.moved}; could show {one.smallest:.2f}"
            rows.append(_row(entry, told))
        for check in self.stage.retention.checks if self.stage.retention else []:
            rows.append(_row(index.entry(self.stage, check.task, check.metric), check.state))
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from html import escape

        return f"<p>{escape(self.judgement.text)}</p><pre>{escape(self.table())}</pre>"

    def __str__(self) -> str:
        """Who was compared, the words, and the table."""
        return f"A: {self.a}\nB: {self.b}\n\n{self.judgement.text}\n\n{self.table()}"


def compare(a: str | Path, b: str | Path, *, thresholds: Thresholds | None = None) -> Comparison:
    """Compare two scored models or stages, paired by item, as a report compares a step with its base.

    Where A was trained in several folds or seeds, B's run of the same fold and seed is its partner.

    Args:
        a: a folder of results; of a run that holds several stages, with `@base`, `@last` or `@STEP` behind it.
        b: the same; what is said is said of it.
        thresholds: what B may lose and still count as having kept it; by default that of B's run.

    Raises:
        FileNotFoundError: nothing was scored there.
        ValueError: several models or stages and none named, no items that both were scored on, or A has several folds
            or seeds and B has others.
    """
    before, after = _stage(str(a)), _stage(str(b))
    run = after.run if thresholds is None else after.run._replace(thresholds=thresholds)
    base = replace(_as_one(before, before), run=run, stage="base", step=None, epoch=None)
    step = replace(_as_one(after, before), run=run, stage="step")
    report = analyse_families([Family(base, (step,), ())], [run])
    found = Comparison(_called(before, a), _called(after, b), report)
    if not found.entries:
        raise ValueError(f"{a} and {b} have no task in common, so nothing compares; score both on the same")
    return found


def _stage(asked: str) -> StageFiles:
    folder, _, wanted = asked.partition("@")
    found = families(find_runs([Path(folder)]))
    if len(found) > 1:
        names = ", ".join(family.stages[0].provenance.model for family in found)
        raise ValueError(f"{folder}: results of several models ({names}); name the folder of one")
    stages = found[0].stages
    if not wanted and len(stages) == 1:
        return stages[0]
    by_name = {
        {"base": "base", "step": str(stage.step), "control": str(stage.provenance.control)}[stage.stage]: stage
        for stage in stages
    }
    if steps := [stage for stage in stages if stage.stage == "step"]:
        by_name["last"] = steps[-1]
    if wanted not in by_name:
        raise ValueError(
            f"{folder}: {f'no stage {wanted!r}' if wanted else 'several stages'}; write "
            f"{' or '.join(f'{folder}@{name}' for name in by_name)}"
        )
    return by_name[wanted]


def _as_one(stage: StageFiles, model: StageFiles) -> StageFiles:
    """A stage under the name and start token of the model that it is compared with."""
    first = model.provenance
    name = {"model": first.model, "started_after": first.started_after, "started_after_id": first.started_after_id}
    checkpoints = tuple(
        replace(
            checkpoint,
            scored=tuple(
                replace(scored, provenance=scored.provenance.model_copy(update=name)) for scored in checkpoint.scored
            ),
        )
        for checkpoint in stage.checkpoints
    )
    return replace(stage, prompt=model.prompt, checkpoints=checkpoints)


def _called(stage: StageFiles, asked: str | Path) -> str:
    step = "last step" if stage.step is None else f"step {stage.step}"
    step = {"base": "base", "step": step, "control": f"{stage.provenance.control} control"}[stage.stage]
    return f"{stage.provenance.model}, {step} ({asked})"


def _row(entry: Entry | None, told: str) -> str:
    if entry is None:
        return ""
    digits = 2 if entry.metric == "abs_logprob_diff" else 1
    before = "" if entry.base_value is None else f"{entry.base_value:.{digits}f}"
    label = f"{metric_legend(entry.metric).label}, {task_name(entry.task)}"
    return f"| {label} | {counted(entry)} | {before} | {number(entry, digits)} | {change(entry, digits)} | {told} |"
