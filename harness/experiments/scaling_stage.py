"""The stage that takes what a training taught another number of times: a folder like the training's for each scale."""

from __future__ import annotations

from pathlib import Path

from harness.editing.scaling import ScaledTarget, ScalingJob, write_scaling_job
from harness.experiments.stage import Stage, launcher, needs
from harness.experiments.training_stage import Training, is_trained, last_checkpoints
from harness.machine.run_module import program
from harness.planning.planned_model import PlannedModel
from harness.storage.making import TRAINED_FILE


def scaling_stage(model: PlannedModel, training: Training, taught: Training, home: Path) -> Stage:
    """One process, which reads and writes adapters; it knows no model.

    Args:
        model: the one that is scaled.
        training: where its checkpoints go.
        taught: what was trained.
    """
    file = home / f"scale{training.label.replace(' ', '-')}.json"

    def prepare() -> None:
        assert model.scale is not None
        targets = [
            ScaledTarget(
                checkpoint=one.folder,
                folder=training.folder / one.folder.parent.name / one.folder.name,
                epoch=one.epoch,
            )
            for one in last_checkpoints(taught)
        ]
        write_scaling_job(file, ScalingJob(model=model.called, scale=model.scale, targets=tuple(targets)))

    return Stage(
        f"{model.stage}{training.label}",
        launcher(None),
        (*program("harness"), "scale", str(file)),
        needs(None),
        lambda: is_trained(model, training),
        prepare,
        lambda: sorted(training.folder.glob(f"fold-*/{TRAINED_FILE}")),
        (f"{model.teacher.stage}{training.label}",),
    )
