"""Which base model a scored checkpoint belongs to: the one that it was trained from, wherever that was scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.metrics.benchmarks import BENCHMARKS
from harness.storage.results import Scored

_SHOWN = 8  # characters of a digest


class Placed(NamedTuple):
    """A results file, or its tasks that were asked in one way, in the run that the report shows it in."""

    run: str
    prompt: str | None
    scored: Scored

    @property
    def model(self) -> tuple[str, str, str, str | None]:
        """What makes files those of one model: run, name, start token and prompt."""
        provenance = self.scored.provenance
        return self.run, provenance.model, provenance.started_after, self.prompt


def placed(runs: Iterable[tuple[str, Iterable[Scored]]]) -> list[Placed]:
    """Every results file by name of its run, steps and the base model that they were trained from under one name.

    The base is known by the digest of its weights: first in the step's own run, then in the others, from where it is
    taken along unless it has steps of its own there. Files of before name no base weights; they stay as they are.
    """
    every = [Placed(run, prompt, part) for run, found in runs for scored in found for prompt, part in by_prompt(scored)]
    bases = [item for item in every if item.scored.provenance.stage == "base"]
    kept: list[Placed] = []
    brought: dict[tuple[str, tuple[str, str, str, str | None]], list[Placed]] = {}
    for item in every:
        base = _base_of(item, bases) if item.scored.provenance.stage != "base" else None
        if base is None:
            kept.append(item)
            continue
        kept.append(_called(item, item.run, base.scored.provenance.model))
        if base.run != item.run:
            name = base.scored.provenance.model
            own = [other for other in bases if other.model == base.model]
            brought[(item.run, base.model)] = [_called(other, item.run, name) for other in own]
    with_steps = {item.model for item in kept if item.scored.provenance.stage != "base"}
    moved = {model for _, model in brought} - with_steps
    stayed = [item for item in kept if item.model not in moved]
    return [*stayed, *(item for group in brought.values() for item in group)]


def by_prompt(scored: Scored) -> Iterator[tuple[str | None, Scored]]:
    """A results file by what stands before what is scored, in words; None where nothing does.

    A task of lm-eval's own may have examples in its prompt by default, and is no reason to part a file.
    """
    asking = scored.asking
    told = []
    if asking.chat_template_sha256:
        told.append(f"chat template {asking.chat_template_sha256[:_SHOWN]}")
    if asking.system_instruction_sha256:
        told.append(f"system instruction {asking.system_instruction_sha256[:_SHOWN]}")
    ours = {
        task: asking.tasks[task].shots
        for task in scored.provenance.tasks
        if task in BENCHMARKS.keys() & asking.tasks.keys()
    }
    tasks: defaultdict[int, list[str]] = defaultdict(list)
    for task in scored.provenance.tasks:
        tasks[ours.get(task, min(ours.values(), default=0))].append(task)
    for shots, names in sorted(tasks.items()):
        examples = [f"{shots} examples{' as turns' if asking.fewshot_as_multiturn else ''}"] if shots else []
        yield ", ".join([*told, *examples]) or None, scored.only(names)


def _base_of(step: Placed, bases: Sequence[Placed]) -> Placed | None:
    provenance = step.scored.provenance
    fitting = [
        base
        for base in bases
        if base.scored.provenance.weights_sha256 == provenance.base_weights_sha256 is not None
        and base.scored.provenance.started_after == provenance.started_after
        and base.prompt == step.prompt
    ]
    here = (step.run, provenance.model)
    return min(
        fitting,
        key=lambda base: (base.run != step.run, (base.run, base.scored.provenance.model) != here, base.model[:2]),
        default=None,
    )


def _called(item: Placed, run: str, model: str) -> Placed:
    provenance = item.scored.provenance
    if (item.run, provenance.model) == (run, model):
        return item
    renamed = Scored(item.scored.file, provenance.model_copy(update={"model": model}), item.scored.results)
    return item._replace(run=run, scored=renamed)
