"""The stage that makes a method's projection of a model, and the one target that scores it."""

from __future__ import annotations

from pathlib import Path

from harness.experiments.experiment_file import Experiment
from harness.experiments.scoring_stage import Weights, model_args, target
from harness.experiments.stage import Stage, launcher, needs
from harness.machine.run_module import program
from harness.mitigation.job import ProjectionJob, write_projection_job
from harness.planning.planned_model import PlannedModel
from harness.scoring.job import JobTarget
from harness.storage.projections import read_record


def projection_stage(experiment: Experiment, model: PlannedModel, home: Path, gpus: int) -> Stage:
    """One process, which reads some thousand sentences.

    Args:
        gpus: those that scoring may take; this stage takes one of them.
    """
    gpus = min(needs(experiment.scoring.accelerate_config, gpus).gpus, 1)
    assert model.projection is not None
    asked, file = model.projection, home / "projection-job.json"

    def prepare() -> None:
        # In float32, whatever scoring takes: what is written is scored in its precision.
        loading = {**model_args(experiment, model), "dtype": "float32"} | ({} if gpus else {"device": "cpu"})
        job = ProjectionJob(
            pretrained=model.pretrained,
            kind=asked.kind,
            output=_folder(home),
            texts=asked.text,
            words=asked.words,
            bias_types=asked.bias_types,
            data_dir=experiment.data_dir,
            settings=asked.settings,
            model_args=loading,
        )
        write_projection_job(file, job)

    def finished() -> bool:
        return read_record(_folder(home)) is not None

    arguments = (*program("harness"), "projection", str(file))
    return Stage(model.stage, launcher(None, gpus), arguments, needs(None, gpus), finished, prepare, finished)


def projection_targets(experiment: Experiment, model: PlannedModel, home: Path) -> list[JobTarget]:
    """The projected model, once it is made, on all tasks as they stand: it was trained on no pair."""
    folder = _folder(home)
    if read_record(folder) is None:
        return []
    return [target(experiment, model, home / "scores", model.tasks, Weights(folder, method=model.method))]


def _folder(home: Path) -> Path:
    return home / "model"
