"""`stereoscope run`: score the base, fine-tune, score every checkpoint, report; each stage skipped when it is done."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.data.families import read_config
from harness.data.sources import locate
from harness.experiments.control_stage import control_stage
from harness.experiments.experiment_file import Experiment, load
from harness.experiments.launching import sigterm_raises
from harness.experiments.local_executor import LocalExecutor
from harness.experiments.preflight import (
    check,
    check_controls,
    check_devices,
    check_packages,
    check_recipes,
    check_texts,
)
from harness.experiments.projection_stage import projection_stage, projection_targets
from harness.experiments.scaling_stage import scaling_stage
from harness.experiments.scoring_stage import (
    base_targets,
    checkpoint_targets,
    control_targets,
    recipe_targets,
    scoring_gpus,
    scoring_stage,
)
from harness.experiments.stage import Executor, Stage, titled
from harness.experiments.training_stage import training_stage, trainings
from harness.machine.orphans import only_run
from harness.planning.planned_model import PlannedModel
from harness.scoring.job import JobTarget
from harness.scoring.task_files import sources_of
from harness.storage.files import atomic_write
from harness.storage.reading import parse_record, read_object
from harness.terminal.printable import printable
from harness.terminal.secrets import secrets_among, shown_command

log = logging.getLogger(__name__)

EXPERIMENT_FILE = "experiment.json"
MAY_CHANGE = ("tasks", "scoring", "halves", "restarts", "retention")
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
        for model in experiment.trained:
            print(printable(model_plan(model)))
        for title, stage in titled(stages):
            print(printable(f"{title}: {shown_command(stage.command, secrets_among({}))}"))
        print(f"[{len(stages) + 1}/{len(stages) + 1}] report: stereoscope report {printable(folder)}")
        return folder / "report"
    check(experiment, lambda model: read_config({"pretrained": model.pretrained, "revision": model.revision}))
    check_packages(experiment)
    check_controls(experiment)
    check_recipes(experiment)
    check_texts(experiment)
    if isinstance(executor, LocalExecutor):
        # A cluster's nodes have devices of their own, and say themselves what they lack.
        check_devices(experiment)
    with sigterm_raises(), only_run(folder):
        _claim(folder, experiment)
        for name in _data(experiment):
            # Says here what there is to say of the data; stages inherit that it was said.
            locate(name, experiment.data_dir)
        executor.run(stages, folder, experiment.restarts)
        from harness.reporting.build import build_report

        report = build_report([folder], folder / "report", halves=experiment.halves)
        log.info("[%d/%d] report: %s", len(stages) + 1, len(stages) + 1, report)
    return report


def _stages(experiment: Experiment, model: PlannedModel, folder: Path, gpus: int, command: str) -> Iterator[Stage]:
    home = folder / model.name
    free = scoring_gpus(experiment.scoring, gpus)
    base = partial(base_targets, experiment, model, home)
    yield scoring_stage(experiment, model, command, free, f"score {model.name}", home / "score-base.json", base)
    names: set[str] = set()
    for treated in model.treatments:
        for stage in _treatment(experiment, treated, home, gpus, command):
            if stage.name not in names:  # what several scales were taught is trained once
                names.add(stage.name)
                yield stage


def _treatment(
    experiment: Experiment, model: PlannedModel, model_home: Path, gpus: int, command: str
) -> Iterator[Stage]:
    """Train with each seed and score that; make each control and score that."""
    home, free = model.home(model_home), scoring_gpus(experiment.scoring, gpus)

    def score(name: str, file: str, targets: Callable[[], list[JobTarget]], *after: str) -> Stage:
        stage = scoring_stage(experiment, model, command, free, name, home / file, targets)
        return replace(stage, after=after)

    if model.projection is not None:
        make = projection_stage(experiment, model, home, free)
        yield make
        targets = partial(projection_targets, experiment, model, home)
        yield score(f"score {model.called}", "score.json", targets, make.name)
        return
    if model.recipe is not None:
        yield score(f"score {model.called}", "score.json", partial(recipe_targets, experiment, model, home))
        return
    taught = trainings(model.teacher, model.teacher.home(model_home))
    for training, its in zip(trainings(model, home), taught, strict=True):
        train = training_stage(experiment, model.teacher, its, min(gpus, 1))
        yield train
        if model.scale is not None:
            train = scaling_stage(model, training, its, home)
            yield train
        name = f"score checkpoints of {model.called}{training.label}"
        file = f"score-steps{training.label.replace(' ', '-')}.json"
        yield score(name, file, partial(checkpoint_targets, experiment, model, home, training), train.name)
    for control in model.controls:
        make = control_stage(experiment, model, home, control, free)
        yield make
        name = f"score {control.kind} control of {model.called}"
        targets = partial(control_targets, experiment, model, home, control)
        yield score(name, f"score-{control.kind}.json", targets, make.name)


def _data(experiment: Experiment) -> list[str]:
    """Every data set that a stage will read."""
    from training.pair_arguments import reads_text

    found = {"crows_pairs"}
    for model in experiment.models:
        reads = model.controls or any(one.projection and one.projection.text is None for one in model.methods)
        found |= {*sources_of(model.tasks), *(["wikitext2_valid"] if reads else [])}
    if any(reads_text(model.training) and not model.training.get("text") for model in experiment.trained):
        found.add("wikitext2_valid")
    return sorted(found)


def _claim(folder: Path, experiment: Experiment) -> None:
    """Mark the folder as this experiment's, or refuse it when it is another's."""
    file = folder / EXPERIMENT_FILE
    wanted = experiment.written
    if file.is_file():
        found = _known(file)
        keys = sorted(key for key in wanted.keys() | found.keys() if _decides(wanted, key) != _decides(found, key))
        if differing := [key for key in keys if key not in MAY_CHANGE and not _only_more(key, found, wanted)]:
            raise ValueError(
                f"{folder} belongs to another experiment: {', '.join(differing)} differ from its {EXPERIMENT_FILE}. "
                "Give another --output-dir, or delete the folder."
            )
    elif strangers := [item.name for item in folder.iterdir() if not item.name.startswith(".")]:
        raise ValueError(f"{folder} is not empty and no experiment's folder ({strangers[0]} is there); give another")
    atomic_write(file, json.dumps(wanted, indent=1) + "\n")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Repeated(_Entry):
    kind: str
    seeds: list[int]


class _Known(_Entry):
    """What is compared piece by piece of an experiment that a run's folder was begun with."""

    models: list[dict[str, Any]]
    methods: list[dict[str, Any]] | None = None
    seeds: list[int] | None = None
    controls: list[_Repeated] | None = None


def _known(file: Path) -> dict[str, Any]:
    found = read_object(file, "give another --output-dir, or delete the folder")
    parse_record(found, _Known, str(file), "give another --output-dir, or delete the folder")
    return found


def _decides(experiment: Mapping[str, Any], key: str) -> Any:
    """A key's value without the parts of it that may change; a file of before may lack a key."""
    if key != "models":
        return experiment.get(key) or None
    return [{name: value for name, value in model.items() if name not in MAY_CHANGE} for model in experiment[key]]


def _only_more(key: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a run can go on with methods, seeds and controls added: all that were there stay, and stay scored."""
    if key == "methods":
        return bool(found.get(key)) and all(method in wanted[key] for method in found[key])
    if key == "seeds":
        return bool(found.get(key)) and set(found[key]) <= set(wanted[key] or ())
    if key == "controls":
        seeds = {control["kind"]: set(control["seeds"]) for control in wanted[key]}
        return all(set(control["seeds"]) <= seeds.get(control["kind"], set()) for control in found.get(key) or ())
    return False
