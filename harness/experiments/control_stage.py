"""The stage that makes a model's controls of one kind, once all that it is to be compared with is trained."""

from __future__ import annotations

from pathlib import Path

from harness.data.sources import find
from harness.editing.job import ControlJob, ControlTarget, Trained, write_control_job
from harness.experiments.experiment_file import Experiment
from harness.experiments.scoring_stage import base_of, control_folder, deciding_model_args, digest_of, model_args
from harness.experiments.stage import Stage, launcher, needs
from harness.experiments.training_stage import is_trained, last_checkpoints, trainings
from harness.machine.run_module import program
from harness.planning.planned_model import PlannedControl, PlannedModel
from harness.storage.controls import without_record
from harness.storage.weights import weights_sha256


def control_stage(experiment: Experiment, model: PlannedModel, home: Path, control: PlannedControl, gpus: int) -> Stage:
    """One process: what it does is a few dozen readings of a few thousand words.

    Args:
        gpus: those that scoring may take; this stage takes one of them.
    """
    # Where scoring is told to leave GPUs alone, this is too.
    gpus = min(needs(experiment.scoring.accelerate_config, gpus).gpus, 1)
    file = home / f"control-{control.kind}.json"

    def targets() -> list[ControlTarget]:
        """Those to be made; they are of the trained checkpoints that there are."""
        decides = {
            "pretrained": base_of(model),
            "model_args": deciding_model_args(experiment, model),
            "data": find("wikitext2_valid", experiment.data_dir).sha256,
            "kind": control.kind,
            "matched": [weights_sha256(one.checkpoint) for one in _trained(model, home)],
        }
        wanted = [
            ControlTarget(
                folder=control_folder(home, control.kind, seed),
                seed=seed,
                inputs_sha256=digest_of({**decides, "seed": seed}),
            )
            for seed in control.seeds
        ]
        missing = without_record([(target.folder, target.inputs_sha256) for target in wanted])
        return [wanted[place] for place in missing]

    def finished() -> bool:
        return all(is_trained(model, training) for training in trainings(model, home)) and not targets()

    def prepare() -> None:
        job = ControlJob(
            model=model.name,
            pretrained=model.pretrained,
            kind=control.kind,
            model_args=model_args(experiment, model) | ({} if gpus else {"device": "cpu"}),
            data_dir=experiment.data_dir,
            trained=tuple(_trained(model, home)),
            targets=tuple(targets()),
        )
        write_control_job(file, job)

    arguments = (*program("harness"), "control", str(file))
    name = f"make {control.kind} control of {model.called}"
    after = tuple(f"{model.stage}{training.label}" for training in trainings(model, home))
    shape = (launcher(None, gpus), arguments, needs(None, gpus))
    return Stage(name, *shape, finished, prepare, lambda: len(targets()), after)


def _trained(model: PlannedModel, home: Path) -> list[Trained]:
    """The last checkpoint of each fold with each seed."""
    return [
        Trained(checkpoint=one.folder, fold=one.split.fold, seed=training.seed)
        for training in trainings(model, home)
        for one in last_checkpoints(training)
    ]
