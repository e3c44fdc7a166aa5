"""`stereoscope run`: score the base, fine-tune, score every checkpoint, report; each stage skipped when it is done."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from harness.data.families import read_config
from harness.data.sources import SOURCES, Name, find, locate
from harness.experiments.experiment_file import Experiment, Scoring, load
from harness.experiments.launch_config import launched, write_launched
from harness.experiments.launching import sigterm_raises
from harness.experiments.local_executor import LocalExecutor
from harness.experiments.preflight import check, check_devices, check_packages
from harness.experiments.stage import Executor, Stage, launcher, needs, titled
from harness.machine.orphans import only_run
from harness.machine.run_module import program
from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF
from harness.planning.planned_model import PlannedModel
from harness.scoring.job import Job, JobTarget, write_job
from harness.scoring.task_files import leaves, select
from harness.storage.files import atomic_write
from harness.storage.results import find_scored
from harness.storage.weights import weights_sha256
from training.finished import finished_checkpoints

log = logging.getLogger(__name__)

EXPERIMENT_FILE = "experiment.json"
MAY_CHANGE = ("tasks", "scoring", "halves", "restarts")
"""Parts of an experiment that a run may be continued with after a change: scores carry their own digests."""


def run(
    experiment: Path | Experiment,
    output_dir: Path | None = None,
    dry_run: bool = False,
    executor: Executor | None = None,
    command: str | None = None,
) -> Path:
    """Run an experiment to its end, or go on where it stopped; returns the folder of its report.

    Args:
        experiment: its file, or what was read from one.
        dry_run: print each model's plan and every command, and start nothing.
        executor: where stages run; by default on this machine.
        command: what results say they come from; by default this process's arguments.

    Raises:
        ValueError: the file or the folder is not fit for it; nothing was started then.
        RuntimeError: a stage failed; what was finished before is kept.
    """
    if isinstance(experiment, Path):
        experiment = load(experiment)
    command = command or shlex.join(["stereoscope", *sys.argv[1:]])
    folder = output_dir or Path("runs") / experiment.name
    executor = executor or LocalExecutor()
    gpus = executor.gpus
    stages = [stage for model in experiment.models for stage in _stages(experiment, model, folder, gpus, command)]
    if dry_run:
        from harness.planning.plan import known_config, model_plan

        check(experiment, known_config)
        for model in experiment.models:
            print(model_plan(model))
        for title, stage in titled(stages):
            print(f"{title}: {shlex.join(stage.command)}")
        print(f"[{len(stages) + 1}/{len(stages) + 1}] report: stereoscope report {folder}")
        return folder / "report"
    check(experiment, lambda model: read_config({"pretrained": model.pretrained, "revision": model.revision}))
    check_packages(experiment)
    if isinstance(executor, LocalExecutor):
        # A cluster's nodes have devices of their own, and say themselves what they lack.
        check_devices(experiment)
    with sigterm_raises(), only_run(folder):
        _claim(folder, experiment)
        for name in sorted({"crows_pairs", *(name for model in experiment.models for name in _sources(model.tasks))}):
            # Says here what there is to say of the data; stages inherit that it was said.
            locate(name, experiment.data_dir)
        executor.run(stages, folder, experiment.restarts)
        from harness.reporting.build import build_report

        report = build_report([folder], folder / "report", halves=experiment.halves)
        log.info("[%d/%d] report: %s", len(stages) + 1, len(stages) + 1, report)
    return report


def _stages(experiment: Experiment, model: PlannedModel, folder: Path, gpus: int, command: str) -> Iterator[Stage]:
    home = folder / model.name
    base = partial(_base_targets, experiment, model, home)
    checkpoints = partial(_checkpoint_targets, experiment, model, home)
    score = partial(_score_stage, experiment, model, command, scoring_gpus(experiment.scoring, gpus))
    train = _train_stage(experiment, model, home, min(gpus, 1))
    yield score(f"score {model.name}", home / "score-base.json", base)
    yield train
    file = home / "score-steps.json"
    yield replace(score(f"score checkpoints of {model.name}", file, checkpoints), after=train.name)


def scoring_gpus(scoring: Scoring, visible: int) -> int:
    """GPUs to score on without an accelerate config: all, unless a device is named or a task has fewer documents."""
    if scoring.device not in (None, "cuda"):
        return min(visible, 1) if str(scoring.device).startswith("cuda") else 0
    return min(visible, *scoring.limits.values()) if scoring.limits else visible


def _base_targets(experiment: Experiment, model: PlannedModel, home: Path) -> list[JobTarget]:
    return [_target(experiment, model, home / "scores" / "base", model.tasks)]


def _checkpoint_targets(experiment: Experiment, model: PlannedModel, home: Path) -> list[JobTarget]:
    targets = []
    for one in finished_checkpoints(home / "training"):
        tasks = _checkpoint_tasks(model.tasks, bool(one.split.held_out))
        folder = home / "scores" / one.folder.parent.name / one.folder.name
        targets.append(_target(experiment, model, folder, tasks, one.folder, one.epoch, one.split.fold))
    return targets


@cache
def _checkpoint_tasks(tasks: tuple[str, ...], held_out: bool) -> tuple[str, ...]:
    """The tasks of a checkpoint: all pairs of CrowS-Pairs become those it never saw, and nothing where it saw all."""
    # A pattern ("crows_pairs*") has to be taken apart first, or it would bring the trained pairs back.
    names = select(tasks, {}).names
    kept = names if held_out else [name for name in names if name not in HELD_OUT_OF]
    return tuple(HELD_OUT_OF.get(name, name) for name in kept)


def _target(
    experiment: Experiment,
    model: PlannedModel,
    folder: Path,
    tasks: tuple[str, ...],
    checkpoint: Path | None = None,
    epoch: float | None = None,
    fold: int | None = None,
) -> JobTarget:
    """A scoring target, with a digest of everything that decides its scores."""
    local = Path(model.pretrained).is_dir()
    decides = {
        "pretrained": weights_sha256(Path(model.pretrained)) if local else model.pretrained,
        "checkpoint": None if checkpoint is None else weights_sha256(checkpoint),
        "tasks": tasks,
        "model_args": {key: str(value) for key, value in _written_args(experiment, model).items() if key != "device"},
        "data": [find(name, experiment.data_dir).sha256 for name in _sources(tasks)],
        "limits": experiment.scoring.limits,
        **_generating(experiment),
    }
    return JobTarget(
        folder=folder,
        checkpoint=checkpoint,
        step=None if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-")),
        epoch=epoch,
        fold=fold,
        tasks=tasks,
        inputs_sha256=hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest(),
    )


@cache
def _sources(tasks: tuple[str, ...]) -> list[Name]:
    """The data files that the tasks read."""
    found: set[Name] = set()
    for benchmark in (BENCHMARKS[task] for task in leaves(select(tasks, {})) if task in BENCHMARKS):
        found |= {benchmark.data} | ({"hurtlex"} if benchmark.generation == "honest" else set())
    return [name for name in SOURCES if name in found]


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


def _score_stage(
    experiment: Experiment,
    model: PlannedModel,
    command: str,
    gpus: int,
    name: str,
    file: Path,
    targets: Callable[[], list[JobTarget]],
) -> Stage:
    def pending() -> list[JobTarget]:
        return [target for target in targets() if not _is_scored(target)]

    def finished() -> bool:
        return bool(targets()) and not pending()

    def prepare() -> None:
        job = Job(
            model=model.name,
            pretrained=model.pretrained,
            model_args=_model_args(experiment, model),
            data_dir=experiment.data_dir,
            limits=experiment.scoring.limits,
            metadata=experiment.scoring.metadata,
            gen_kwargs=experiment.scoring.gen_kwargs,
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


def _train_stage(experiment: Experiment, model: PlannedModel, home: Path, gpus: int) -> Stage:
    config, output = home / "training.yaml", home / "training"

    def prepare() -> None:
        settings = {
            **model.training,
            "model_name_or_path": model.pretrained,
            "data_dir": experiment.data_dir,
            "start_token_id": model.start_token_id,
            "output_dir": str(output),
        }
        write_launched(shape, home)
        atomic_write(config, yaml.safe_dump(settings, sort_keys=False))

    def finished() -> bool:
        from training.config import folds_of

        folds = folds_of(model.training)
        return all((output / f"fold-{fold}" / "trained.json").is_file() for fold in folds)

    def progress() -> list[Path]:
        return sorted(output.glob("fold-*/checkpoint-*/manifest.json")) + sorted(output.glob("fold-*/trained.json"))

    shape = model.accelerate_config
    start, wanted = launcher(launched(shape, home), gpus), needs(shape, gpus)
    arguments = (*program("training"), "--config", str(config))
    return Stage(f"train {model.name}", start, arguments, wanted, finished, prepare, progress)


def _written_args(experiment: Experiment, model: PlannedModel) -> dict[str, Any]:
    """The arguments with paths as the file has them: where they lead does not make another run."""
    (entry,) = (entry for entry in experiment.written["models"] if entry["name"] == model.name)
    return _model_args(experiment, replace(model, model_args=entry["model_args"]))


def _model_args(experiment: Experiment, model: PlannedModel) -> dict[str, Any]:
    start = {} if model.start_token_id is None else {"prefix_token_id": model.start_token_id}
    scoring = experiment.scoring
    device = {} if scoring.device is None else {"device": scoring.device}
    common = {"revision": model.revision, "dtype": scoring.dtype, "batch_size": scoring.batch_size}
    return {**common, **device, **start, **model.model_args}


def _is_scored(target: JobTarget) -> bool:
    found = (scored.provenance for scored in find_scored(target.folder))
    return any(one.inputs_sha256 == target.inputs_sha256 and one.is_judged for one in found)


def _claim(folder: Path, experiment: Experiment) -> None:
    """Mark the folder as this experiment's, or refuse it when it is another's."""
    file = folder / EXPERIMENT_FILE
    wanted = experiment.written
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        keys = sorted(key for key in wanted.keys() | found.keys() if _decides(wanted, key) != _decides(found, key))
        if differing := [key for key in keys if key not in MAY_CHANGE]:
            raise ValueError(
                f"{folder} belongs to another experiment: {', '.join(differing)} differ from its {EXPERIMENT_FILE}. "
                "Give another --output-dir, or delete the folder."
            )
    elif strangers := [item.name for item in folder.iterdir() if not item.name.startswith(".")]:
        raise ValueError(f"{folder} is not empty and no experiment's folder ({strangers[0]} is there); give another")
    atomic_write(file, json.dumps(wanted, indent=1) + "\n")


def _decides(experiment: Mapping[str, Any], key: str) -> Any:
    """A key's value without the parts of it that may change."""
    if key != "models":
        return experiment.get(key)
    return [{name: value for name, value in model.items() if name not in MAY_CHANGE} for model in experiment[key]]
