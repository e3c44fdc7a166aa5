"""A report's numbers by place: which entry belongs in which cell of a table, and which task a headline is read from."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.schema import Entry, Report, Stage

STEREOSET_TASKS = (
    "stereoset",
    "stereoset_intrasentence",
    "stereoset_intersentence",
    "stereoset_prompt",
    "stereoset_prompt_intrasentence",
    "stereoset_prompt_intersentence",
    "stereoset_prompt_generate",
    "stereoset_prompt_generate_intrasentence",
    "stereoset_prompt_generate_intersentence",
)
CROWS_FORMS = (
    ("crows_pairs_heldout", "crows_pairs"),
    ("crows_pairs_pll_heldout", "crows_pairs_pll"),
    ("crows_pairs_prompt_heldout", "crows_pairs_prompt"),
)
PERPLEXITY_TASK = "wikitext2"

ModelKey = tuple[str, str, str, str | None, str | None]
_Place = tuple[ModelKey, str, int | None, str | None]


class Index:
    """Look-ups in one set of stages and entries."""

    def __init__(self, stages: Sequence[Stage], entries: Sequence[Entry]) -> None:
        self.stages = tuple(stages)
        self._entries = {(_place(entry), entry.task, entry.metric, entry.part): entry for entry in entries}
        self._of_stage: dict[_Place, list[Entry]] = {_place(stage): [] for stage in stages}
        for entry in entries:
            self._of_stage[_place(entry)].append(entry)
        self._tasks = {place: {entry.task for entry in found} for place, found in self._of_stage.items()}

    @classmethod
    def of(cls, report: Report) -> Index:
        """The index of a whole report."""
        return cls(report.stages, report.entries)

    def entry(self, stage: Stage, task: str | None, metric: str, part: str | None = None) -> Entry | None:
        """One number of a stage, None if it was not scored."""
        return None if task is None else self._entries.get((_place(stage), task, metric, part))

    def entries(self, stage: Stage) -> list[Entry]:
        """All numbers of a stage, in the report's order."""
        return self._of_stage[_place(stage)]

    def tasks(self, stage: Stage) -> set[str]:
        """The tasks with numbers at a stage."""
        return self._tasks[_place(stage)]

    def parts(self, stage: Stage, task: str, metric: str) -> list[Entry]:
        """The parts of one metric at a stage, in the report's order."""
        return [
            entry
            for entry in self.entries(stage)
            if entry.task == task and entry.metric == metric and entry.part is not None
        ]

    def families(self) -> list[list[Stage]]:
        """The base and the steps of each model and method, base first, in the report's order.

        `controls` has the other stages.
        """
        groups: dict[ModelKey, list[Stage]] = {}
        for stage in self.stages:
            if stage.stage != "control":
                groups.setdefault(model_key(stage), []).append(stage)
        return list(groups.values())

    def each_base_once(self) -> list[Stage]:
        """All stages, a base only where it first stands: the report has it beside the steps of each method."""
        seen: set[tuple[str, str, str, str | None]] = set()
        found = []
        for stage in self.stages:
            model = model_key(stage)[:4]
            if stage.stage == "base" and model in seen:
                continue
            seen |= {model} if stage.stage == "base" else set()
            found.append(stage)
        return found

    def controls(self, stage: Stage) -> list[Stage]:
        """What the last step of a stage's model is compared with."""
        return [other for other in self.stages if other.stage == "control" and model_key(other) == model_key(stage)]

    def name(self, stage: Stage) -> str:
        """What to call a stage's model and the method that it is a stage of, where there are several."""
        model = self.model_name(stage)
        return model if stage.method is None else f"{model}, {stage.method}"

    def model_name(self, stage: Stage) -> str:
        """What to call a stage's model: with its run, start token or prompt where its name alone is ambiguous."""
        same = [other for other in self.stages if other.model == stage.model]
        told = [stage.model]
        if len({other.run for other in same}) > 1:
            told.append(f"({stage.run})")
        if len({other.started_after for other in same}) > 1:
            told.append(f"after {stage.started_after}")
        if len({other.prompt for other in same}) > 1:
            told.append(f"with {stage.prompt}" if stage.prompt else "without a prompt")
        return " ".join(told)

    def stereoset_task(self) -> str | None:
        """The StereoSet task that stands for the model everywhere in a report: scored at as many stages as possible."""
        counted = [(-sum(task in tasks for tasks in self._tasks.values()), task) for task in STEREOSET_TASKS]
        most, task = min(counted, key=lambda pair: pair[0])
        return task if most else None

    def crows_tasks(self, stage: Stage) -> list[str]:
        """The forms of CrowS-Pairs that were scored: of each the held-out pairs where there are any, else all pairs."""
        scored = self.tasks(stage)
        found = (next((task for task in form if task in scored), None) for form in CROWS_FORMS)
        return [task for task in found if task]

    def crows_task(self, stage: Stage) -> str | None:
        """The form that stands for the model everywhere in a report: likelihood where scored."""
        return next(iter(self.crows_tasks(stage)), None)

    def other_tasks(self, stage: Stage) -> list[str]:
        """What was scored at a stage and has no place of its own in a report: added benchmarks, lm-eval's own tasks."""
        placed = {*STEREOSET_TASKS, *(task for form in CROWS_FORMS for task in form), PERPLEXITY_TASK}
        scored = self.tasks(stage) - placed
        added = [task for task, benchmark in BENCHMARKS.items() if task in scored and not benchmark.generation]
        return [*added, *stage.abilities]

    def headline(self, stage: Stage, task: str) -> tuple[str, ...]:
        """The metrics that stand for a task at a stage."""
        if task in BENCHMARKS:
            return BENCHMARKS[task].headline
        return tuple(entry.metric for entry in self.entries(stage) if entry.task == task and entry.part is None)

    def same_form(self, stage: Stage, task: str) -> str | None:
        """The CrowS-Pairs task of another stage that is of one form with `task`: its own may be of all pairs."""
        form = next(form for form in CROWS_FORMS if task in form)
        return next((other for other in self.crows_tasks(stage) if other in form), None)


def model_key(item: Stage | Entry) -> ModelKey:
    """What makes stages those of one model and method: run, name, start token, prompt and, last, the method."""
    return (item.run, item.model, item.started_after, item.prompt, item.method)


def _place(item: Stage | Entry) -> _Place:
    return (model_key(item), item.stage, item.step, item.control)
