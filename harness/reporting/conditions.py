"""Whether a base model and its steps were scored alike: what may differ is listed, what must agree `stages` refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.metrics.benchmarks import BENCHMARKS
from harness.reporting.schema import ConditionDifference
from harness.reporting.scores import TaskScores
from harness.reporting.stages import Checkpoint, StageFiles
from harness.storage.results import Scored


class _Difference(NamedTuple):
    what: str
    one: str
    other: str
    matters: bool = True  # to the task at hand: seeds and generation arguments decide nothing of a likelihood


def differences(base: StageFiles | None, stage: StageFiles) -> list[ConditionDifference]:
    """What differs between how a base model was scored and how each checkpoint of a stage was, with its tasks.

    Without a base, and for the base itself, the folds' checkpoints are compared with the first of them.
    """
    found: dict[tuple[str, str, str], set[str]] = {}
    for task in stage.tasks:
        for difference in _of_task(base, stage, task):
            tasks = found.setdefault((difference.what, difference.one, difference.other), set())
            tasks |= {task} if difference.matters else set()
    return [
        ConditionDifference(what=what, base=one, step=other, tasks=sorted(tasks))
        for (what, one, other), tasks in sorted(found.items())
    ]


def prompt_difference(step: TaskScores, base: TaskScores | None) -> ConditionDifference | None:
    """Whether the items that both scored were put to both models in the same words, by the samples themselves."""
    before = {} if base is None or not base.prompts else base.prompts[0]
    pairs = [(before[item], asked) for prompts in step.prompts for item, asked in prompts.items() if item in before]
    others = sum(one != other for one, other in pairs)
    if not others:
        return None
    told = f"{others} of {len(pairs)} samples in other words"
    return ConditionDifference(what="prompts", base="the samples' own", step=told, tasks=[step.task])


def concerned(found: Iterable[ConditionDifference], scored: Iterable[TaskScores]) -> set[str]:
    """The tasks whose scores a difference may have moved, and those of the scored ones that pool them."""
    tasks = {task for difference in found for task in difference.tasks}
    return tasks | {scores.task for scores in scored if tasks & set(scores.benchmark.pools)}


def _of_task(base: StageFiles | None, stage: StageFiles, task: str) -> Iterator[_Difference]:
    scored = [(checkpoint, item) for checkpoint in stage.checkpoints if (item := checkpoint.scored_on(task))]
    whole = BENCHMARKS[task].whole if task in BENCHMARKS else None
    before = base.checkpoints[0].scored_on(whole or task) if base else None
    for checkpoint, item in scored:
        if before is not None:
            yield from _between(before, whole or task, item, task)
        else:
            first, reference = scored[0]
            for found in _between(reference, task, item, task):
                yield found._replace(one=_of_fold(first, found.one), other=_of_fold(checkpoint, found.other))


def _between(one: Scored, one_task: str, other: Scored, other_task: str) -> Iterator[_Difference]:
    """Everything that is recorded of both and not the same."""
    before, after = one.provenance, other.provenance
    asked, asked_after = one.asking.tasks.get(one_task), other.asking.tasks.get(other_task)
    found = [("dtype", before.dtype, after.dtype, True)]
    packages = sorted(before.versions.keys() & after.versions.keys())
    found += [(f"version of {name}", before.versions[name], after.versions[name], True) for name in packages]
    if asked and asked_after:
        found += [
            ("examples in the prompt", str(asked.shots), str(asked_after.shots), True),
            ("task version", *_both(asked.version, asked_after.version), True),
            ("task definition", *_both(asked.definition_sha256, asked_after.definition_sha256), True),
        ]
        for key in sorted(asked.metadata.keys() | asked_after.metadata.keys()):
            found.append(
                (f"metadata {key}", _told(asked.metadata.get(key)), _told(asked_after.metadata.get(key)), True)
            )
    drawn = other_task in after.generations or "_generate" in other_task
    seeds, seeds_after = one.asking.seeds, other.asking.seeds
    chance = drawn or bool(asked and asked.shots)
    found += [(key, _told(seeds[key]), _told(seeds_after[key]), chance) for key in sorted(seeds.keys() & seeds_after)]
    found.append(("generation arguments", _told(one.asking.gen_kwargs), _told(other.asking.gen_kwargs), drawn))
    yield from (_Difference(*item) for item in found if item[1] != item[2])


def _both(one: str | None, other: str | None) -> tuple[str, str]:
    """Two values, which are alike where one is not recorded."""
    return ("", "") if one is None or other is None else (one, other)


def _of_fold(checkpoint: Checkpoint, value: str) -> str:
    told = [f"{part} {number}" for part, number in checkpoint.repeat if number is not None]
    return f"{', '.join(told)}: {value}" if told else value


def _told(value: object) -> str:
    return "default" if value is None else value if isinstance(value, str) else str(value)
