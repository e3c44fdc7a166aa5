"""Result files sorted into models and stages: a base model, its training steps, and what these are compared with."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.reporting.bases import Placed, placed
from harness.reporting.method_order import ListedMethod, MethodPlace, methods_of, place_of
from harness.reporting.progress import by_progress, repeat_of
from harness.reporting.schema import Repeat, Scoring
from harness.reporting.schema_types import StageName
from harness.reporting.thresholds import Thresholds, thresholds_of
from harness.storage.provenance import Provenance
from harness.storage.results import Scored, find_scored


class Run(NamedTuple):
    """One run folder under the name that the report calls it, what was scored in it, and its experiment's settings."""

    name: str
    folder: Path
    scored: tuple[Scored, ...]
    thresholds: Thresholds = Thresholds()
    methods: tuple[ListedMethod, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights and every results file that scored it; `repeat` is the fold and seed it is of."""

    repeat: Repeat
    scored: tuple[Scored, ...]

    @property
    def fold(self) -> int | None:
        """The fold that it held out."""
        return self.repeat.fold

    @property
    def seed(self) -> int | None:
        """The seed that it was trained or made with."""
        return self.repeat.seed

    @property
    def provenance(self) -> Provenance:
        """Provenance of the first results file; weights, model and stage are the same in all of them."""
        return self.scored[0].provenance

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task scored for these weights."""
        return tuple(sorted(task for scored in self.scored for task in scored.provenance.tasks))

    def scored_on(self, task: str) -> Scored | None:
        """The results file that holds the task, if any."""
        return next((scored for scored in self.scored if task in scored.provenance.tasks), None)


@dataclass(frozen=True)
class StageFiles:
    """One model at one stage: the base, the checkpoints of all folds and seeds after as much training, or a control.

    `prompt` says what stands before that which is scored; None where nothing does. `left_out` are the trainings of this
    model that have no checkpoint here. `method` made the steps; the base stands beside those of each.
    """

    run: Run
    prompt: str | None
    stage: StageName
    step: int | None
    epoch: float | None
    checkpoints: tuple[Checkpoint, ...]
    left_out: tuple[Repeat, ...] = ()
    method: str | None = None

    @property
    def provenance(self) -> Provenance:
        """Provenance of the first checkpoint: model, size and start token are the same in all of them."""
        return self.checkpoints[0].provenance

    @property
    def folds(self) -> list[int]:
        """Folds present, ascending; empty without cross-fitting."""
        return sorted({checkpoint.fold for checkpoint in self.checkpoints if checkpoint.fold is not None})

    @property
    def seeds(self) -> list[int]:
        """Seeds present, ascending; empty where the experiment names none."""
        return sorted({checkpoint.seed for checkpoint in self.checkpoints if checkpoint.seed is not None})

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task scored for at least one checkpoint."""
        return tuple(sorted({task for checkpoint in self.checkpoints for task in checkpoint.tasks}))

    def scorings(self) -> list[Scoring]:
        """Where the numbers come from, for the report."""
        return [
            Scoring(
                # A base may have been scored into another folder than its steps.
                results=Path(os.path.relpath(scored.file, self.run.folder)).as_posix(),
                fold=checkpoint.fold,
                seed=checkpoint.seed,
                pretrained=scored.provenance.pretrained,
                checkpoint=scored.provenance.checkpoint,
                weights_sha256=scored.provenance.weights_sha256,
                server=scored.provenance.server,
                base_weights_sha256=scored.provenance.base_weights_sha256,
                asking=scored.asking,
                sealed=[task for task in sorted(scored.provenance.tasks) if scored.seal(task)],
                dtype=scored.provenance.dtype,
                data=dict(sorted(scored.provenance.tasks.items())),
                generations=dict(sorted(scored.provenance.generations.items())),
                shots={task: int(_of_task(scored, "n-shot", task) or 0) for task in sorted(scored.provenance.tasks)},
                task_versions={
                    task: str(version)
                    for task in sorted(scored.provenance.tasks)
                    if (version := _of_task(scored, "versions", task)) is not None
                },
                versions=dict(sorted(scored.provenance.versions.items())),
                command=scored.provenance.command,
                seconds=scored.provenance.seconds,
            )
            for checkpoint in self.checkpoints
            for scored in checkpoint.scored
        ]


@dataclass(frozen=True)
class Family:
    """A base model, if it was scored, the steps of one method in order, and their controls.

    All are after one start token and prompt.
    """

    base: StageFiles | None
    steps: tuple[StageFiles, ...]
    controls: tuple[StageFiles, ...] = ()

    @property
    def stages(self) -> tuple[StageFiles, ...]:
        """The base first, then the steps, then the controls."""
        return (*((self.base,) if self.base else ()), *self.steps, *self.controls)


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Every run folder with what was scored in it, named by its last path part (and the one before if that repeats).

    Raises:
        FileNotFoundError: a folder does not exist or holds nothing that was scored here; names it.
        ValueError: a folder is named twice.
    """
    resolved = [folder.resolve() for folder in folders]
    names = [folder.name for folder in resolved]
    runs = []
    for given, folder, name in zip(folders, resolved, names, strict=True):
        if resolved.count(folder) > 1:
            raise ValueError(f"{given}: the same run folder is named twice")
        if not folder.is_dir():
            raise FileNotFoundError(f"{given}: no such folder; name the output folder of a run")
        scored = tuple(find_scored(folder, plain=True))
        if not scored:
            raise FileNotFoundError(
                f"{given}: nothing scored in this folder: no results_*.json written by `stereoscope eval`, "
                "`stereoscope run` or `lm_eval --log_samples` below it. Score a model first, or name the run's output "
                "folder"
            )
        called = f"{folder.parent.name}/{name}" if names.count(name) > 1 else name
        runs.append(Run(called, folder, scored, thresholds_of(folder), methods_of(folder)))
    return runs


def families(runs: Sequence[Run]) -> list[Family]:
    """The models of all runs, smallest first, each with its base model and its steps in order, method by method in
    the order of the experiment's file.

    Raises:
        ValueError: two results files claim to be the same weights and task, or the same stage with other weights, or a
            step is none of the base model that stands beside it.
    """
    run_of = {run.name: run for run in runs}
    grouped: dict[tuple[str, str, str, str | None], list[Placed]] = {}
    for item in placed((run.name, run.scored) for run in runs):
        grouped.setdefault(item.model, []).append(item)
    built = [
        _family(run_of[items[0].run], items[0].prompt, method, scored)
        for items in grouped.values()
        for method, scored in _by_method([item.scored for item in items])
    ]
    return sorted(built, key=lambda family: _order(family.stages[0]))


def _order(stage: StageFiles) -> tuple[int, str, str, str, str, MethodPlace]:
    told = stage.provenance
    beside = (stage.prompt or "", place_of(stage.method, stage.run.methods))
    return (told.parameters or 0, told.model, stage.run.name, told.started_after, *beside)


def _by_method(scored: Sequence[Scored]) -> Iterator[tuple[str | None, list[Scored]]]:
    """What each method made of a model, each time beside the model's base; the base alone where nothing was made."""
    bases = [item for item in scored if item.provenance.stage == "base"]
    made: dict[str | None, list[Scored]] = {}
    for item in scored:
        if item.provenance.stage != "base":
            made.setdefault(item.provenance.method, []).append(item)
    for method, items in (made or {None: []}).items():
        yield method, [*bases, *items]


def _family(run: Run, prompt: str | None, method: str | None, scored: Sequence[Scored]) -> Family:
    of_stage: dict[StageName, list[Scored]] = {"base": [], "step": [], "control": []}
    for item in scored:
        of_stage[item.provenance.stage].append(item)
    bases, trained = of_stage["base"], {repeat_of(item.provenance) for item in of_stage["step"]}
    base = StageFiles(run, prompt, "base", None, None, _checkpoints(bases), method=method) if bases else None
    for item in scored:
        _require_one_model((bases or scored)[0], item)
    steps = [_step(run, prompt, method, together, trained) for together in by_progress(of_stage["step"])]
    kinds = sorted({item.provenance.control or "" for item in of_stage["control"]})
    controls = [
        _checkpoints([item for item in of_stage["control"] if (item.provenance.control or "") == kind])
        for kind in kinds
    ]
    return Family(
        base,
        tuple(sorted(steps, key=lambda stage: (stage.step or 0, stage.epoch or 0.0))),
        tuple(StageFiles(run, prompt, "control", None, None, drawn, method=method) for drawn in controls),
    )


def _step(
    run: Run, prompt: str | None, method: str | None, scored: Sequence[Scored], trained: set[Repeat]
) -> StageFiles:
    checkpoints = _checkpoints(scored)
    return StageFiles(
        run,
        prompt,
        "step",
        max((item.provenance.step for item in scored if item.provenance.step is not None), default=None),
        max((item.provenance.epoch for item in scored if item.provenance.epoch is not None), default=None),
        checkpoints,
        tuple(sorted(trained - {checkpoint.repeat for checkpoint in checkpoints}, key=_in_order)),
        method,
    )


def _in_order(repeat: Repeat) -> tuple[int, int]:
    """Seed by seed, and of each the folds."""
    return (-1 if repeat.seed is None else repeat.seed, -1 if repeat.fold is None else repeat.fold)


def _require_one_model(first: Scored, other: Scored) -> None:
    """What a base model and its steps must have in common for a comparison to mean anything."""
    one, two = first.provenance, other.provenance
    bases = (_trained_weights(one), _trained_weights(two))
    # A head that is parted from the embeddings, so that it alone can be changed, adds to the number.
    same_base = bases[0] == bases[1] is not None
    told = [
        ("family", one.family, two.family),
        ("number of parameters", None if same_base else one.parameters, two.parameters),
        ("start token's id", one.started_after_id, two.started_after_id),
        ("base weights", *bases),
    ]
    for what, found, wanted in told:
        if found != wanted and None not in (found, wanted):
            raise ValueError(
                f"{first.file} and {other.file} are both called {one.model}, but are not stages of one model: the "
                f"{what} is {found} in one and {wanted} in the other. Report them from folders of their own, or score "
                "the step's own base model"
            )


def _trained_weights(provenance: Provenance) -> str | None:
    """The weights that training started from; of files of before it is known for the base model alone."""
    return provenance.weights_sha256 if provenance.stage == "base" else provenance.base_weights_sha256


def _checkpoints(scored: Iterable[Scored]) -> tuple[Checkpoint, ...]:
    found: dict[Repeat, list[Scored]] = defaultdict(list)
    for item in scored:
        found[repeat_of(item.provenance)].append(item)
    for part in ("fold", "seed"):
        without = [item for repeat, items in found.items() if getattr(repeat, part) is None for item in items]
        if without and any(getattr(repeat, part) is not None for repeat in found):
            files = ", ".join(str(item.file) for item in without)
            raise ValueError(f"{files}: no {part}, but other checkpoints of the same step have one; report them apart")
    for items in found.values():
        _check_same_weights(items)
    return tuple(
        Checkpoint(repeat, tuple(sorted(found[repeat], key=lambda item: item.file)))
        for repeat in sorted(found, key=_in_order)
    )


def _check_same_weights(items: Sequence[Scored]) -> None:
    first = items[0]
    seen: dict[str, Path] = {}
    for item in items:
        if item.provenance.weights != first.provenance.weights:
            raise ValueError(
                f"{first.file} and {item.file} are both {_called(item.provenance)} but scored different weights "
                f"({first.provenance.weights_shown} and {item.provenance.weights_shown}): keep one, or "
                "report the two runs from folders of their own"
            )
        for task in item.provenance.tasks:
            if task in seen:
                raise ValueError(
                    f"{seen[task]} and {item.file} both hold {task} of {_called(item.provenance)}: keep one"
                )
            seen[task] = item.file


def _of_task(scored: Scored, key: str, task: str) -> str | int | float | None:
    """lm-eval's own note on a task, under one of the keys that its results file has for every task."""
    noted: str | int | float | None = scored.results.get(key, {}).get(task)
    return noted


def _called(provenance: Provenance) -> str:
    fold = "" if provenance.fold is None else f", fold {provenance.fold}"
    seed = "" if provenance.seed is None else f", seed {provenance.seed}"
    stage = {"base": "base", "step": f"step {provenance.step}", "control": f"{provenance.control} control"}
    return f"{provenance.model} {stage[provenance.stage]}{fold}{seed}"
