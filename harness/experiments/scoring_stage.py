"""The stages that score: the base, every checkpoint of a training, and the controls, all on the same tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.sources import find
from harness.experiments.experiment_file import Experiment, Scoring
from harness.experiments.launch_config import launched, write_launched
from harness.experiments.stage import Stage, launcher, needs
from harness.experiments.training_stage import Training
from harness.machine.run_module import program
from harness.metrics.benchmarks import HELD_OUT_OF
from harness.planning.planned_model import PlannedControl, PlannedModel
from harness.scoring.job import Job, JobTarget, write_job
from harness.scoring.task_files import select, sources_of
from harness.storage.controls import read_record
from harness.storage.provenance import MatchedBy
from harness.storage.recipes import Recipe
from harness.storage.results import find_scored
from harness.storage.weights import weights_sha256
from training.finished import finished_checkpoints


class Weights(NamedTuple):
    """What a target scores, in the words of its results file; the base where `checkpoint` is None."""

    checkpoint: Path | None = None
    step: int | None = None
    epoch: float | None = None
    fold: int | None = None
    seed: int | None = None
    control: str | None = None
    matched_by: MatchedBy | None = None
    method: str | None = None
    recipe: Recipe | None = None


def scoring_gpus(scoring: Scoring, visible: int) -> int:
    """GPUs to score on without an accelerate config: all, unless a device is named or a task has fewer documents."""
    if scoring.device not in (None, "cuda"):
        return min(visible, 1) if str(scoring.device).startswith("cuda") else 0
    return min(visible, *scoring.limits.values()) if scoring.limits else visible


def base_targets(experiment: Experiment, model: PlannedModel, home: Path) -> list[JobTarget]:
    """The base on every task."""
    return [target(experiment, model, home / "scores" / "base", model.tasks, Weights())]


def checkpoint_targets(experiment: Experiment, model: PlannedModel, home: Path, training: Training) -> list[JobTarget]:
    """Every checkpoint of the folds that are finished, on its held-out pairs in place of all.

    One that was trained on no pair is scored on all tasks as they stand, and is of no fold.
    """
    home = home / "scores" if training.seed is None else home / "scores" / f"seed-{training.seed}"
    targets = []
    for one in finished_checkpoints(training.folder):
        on_pairs = bool(one.split.train)
        tasks = checkpoint_tasks(model.tasks, bool(one.split.held_out)) if on_pairs else model.tasks
        fold = one.split.fold if on_pairs else None
        weights = Weights(one.folder, one.step, one.epoch, fold, training.seed, method=model.method)
        folder = home / one.folder.parent.name / one.folder.name
        targets.append(target(experiment, model, folder, tasks, weights))
    return targets


def recipe_targets(experiment: Experiment, model: PlannedModel, home: Path) -> list[JobTarget]:
    """The base's weights asked by the method's recipe, on all tasks as they stand: it was trained on no pair."""
    weights = Weights(method=model.method, recipe=model.recipe)
    return [target(experiment, model, home / "scores", model.tasks, weights)]


def control_targets(
    experiment: Experiment, model: PlannedModel, home: Path, control: PlannedControl
) -> list[JobTarget]:
    """Every control that is made, on all tasks as they stand: it was trained on no pair."""
    targets = []
    for seed in control.seeds:
        folder = control_folder(home, control.kind, seed)
        if record := read_record(folder):
            scores = home / "scores" / "controls" / control.kind / folder.name
            weights = Weights(
                folder, seed=seed, control=control.kind, matched_by=record.matched_by, method=model.method
            )
            targets.append(target(experiment, model, scores, model.tasks, weights))
    return targets


def control_folder(home: Path, kind: str, seed: int) -> Path:
    """Where a control's weights are."""
    return home / "controls" / kind / f"seed-{seed}"


@cache
def checkpoint_tasks(tasks: tuple[str, ...], held_out: bool) -> tuple[str, ...]:
    """The tasks of a checkpoint: all pairs of CrowS-Pairs become those it never saw, and nothing where it saw all."""
    # A pattern ("crows_pairs*") has to be taken apart first, or it would bring the trained pairs back.
    names = select(tasks, {}).names
    kept = names if held_out else [name for name in names if name not in HELD_OUT_OF]
    return tuple(HELD_OUT_OF.get(name, name) for name in kept)


def target(
    experiment: Experiment, model: PlannedModel, folder: Path, tasks: tuple[str, ...], weights: Weights
) -> JobTarget:
    """A scoring target, with a digest of everything that decides its scores."""
    decides = {
        "pretrained": base_of(model),
        "checkpoint": None if weights.checkpoint is None else weights_sha256(weights.checkpoint),
        "tasks": tasks,
        "model_args": deciding_model_args(experiment, model),
        "data": [find(name, experiment.data_dir).sha256 for name in sources_of(tasks)],
        "limits": experiment.scoring.limits,
        **({} if weights.recipe is None else {"recipe": weights.recipe.sha256}),
        **_generating(experiment),
    }
    return JobTarget(folder=folder, tasks=tasks, inputs_sha256=digest_of(decides), **weights._asdict())


def base_of(model: PlannedModel) -> str:
    """What names a base's weights in a digest: their own of a folder, the hub id of others."""
    return weights_sha256(Path(model.pretrained)) if Path(model.pretrained).is_dir() else model.pretrained


def deciding_model_args(experiment: Experiment, model: PlannedModel) -> dict[str, str]:
    """The arguments of the model's class that scores depend on."""
    return {key: str(value) for key, value in _written_args(experiment, model).items() if key != "device"}


def digest_of(decides: dict[str, Any]) -> str:
    """One digest of everything that decides an outcome."""
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _generating(experiment: Experiment) -> dict[str, Any]:
    """What decides generated texts and their scores: nothing where nothing was asked for, as in runs of before."""
    scoring = experiment.scoring
    written = experiment.written["scoring"]["metadata"]
    given = {"metadata": written, "gen_kwargs": scoring.gen_kwargs}
    found = {
        str(written[key]): Path(str(value)) for key, value in scoring.metadata.items() if key.endswith("_classifier")
    }
    given["classifiers"] = {name: weights_sha256(folder) for name, folder in found.items() if folder.is_dir()}
    return {key: value for key, value in given.items() if value}


def scoring_stage(
    experiment: Experiment,
    model: PlannedModel,
    command: str,
    gpus: int,
    name: str,
    file: Path,
    targets: Callable[[], list[JobTarget]],
) -> Stage:
    """The stage that scores what `targets` lists when it starts; those with results of their digest are left out."""

    def pending() -> list[JobTarget]:
        return [one for one in targets() if not _is_scored(one)]

    def finished() -> bool:
        return bool(targets()) and not pending()

    def prepare() -> None:
        job = Job(
            model=model.name,
            pretrained=model.pretrained,
            model_args=model_args(experiment, model),
            data_dir=experiment.data_dir,
            limits=experiment.scoring.limits,
            metadata=experiment.scoring.metadata,
            gen_kwargs=experiment.scoring.gen_kwargs,
            hang_seconds=experiment.scoring.hang_seconds,
            ddp_timeout=experiment.scoring.ddp_timeout,
            command=command,
            targets=tuple(pending()),
        )
        write_launched(config, file.parent)
        write_job(file, job)

    config = experiment.scoring.accelerate_config
    arguments = (*program("harness"), "score", str(file))
    wanted = needs(config, gpus)
    start = launcher(launched(config, file.parent), gpus)
    return Stage(name, start, arguments, wanted, finished, prepare, lambda: len(pending()))


def _written_args(experiment: Experiment, model: PlannedModel) -> dict[str, Any]:
    """The arguments with paths as the file has them: where they lead does not make another run."""
    (entry,) = (entry for entry in experiment.written["models"] if entry["name"] == model.name)
    return model_args(experiment, replace(model, model_args=entry["model_args"]))


def model_args(experiment: Experiment, model: PlannedModel) -> dict[str, Any]:
    """The arguments of the model's class."""
    start = {} if model.start_token_id is None else {"prefix_token_id": model.start_token_id}
    scoring = experiment.scoring
    device = {} if scoring.device is None else {"device": scoring.device}
    common = {"revision": model.revision, "dtype": scoring.dtype, "batch_size": scoring.batch_size}
    return {**common, **device, **start, **model.model_args}


def _is_scored(asked: JobTarget) -> bool:
    found = (scored.provenance for scored in find_scored(asked.folder))
    return any(one.inputs_sha256 == asked.inputs_sha256 and one.is_judged for one in found)
