"""The stages that train: one for each seed of a model, fold after fold; and what they left for later stages."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from harness.experiments.experiment_file import Experiment
from harness.experiments.launch_config import launched, write_launched
from harness.experiments.stage import Stage, launcher, needs
from harness.machine.run_module import program
from harness.planning.planned_model import PlannedModel
from harness.storage.files import atomic_write
from harness.storage.making import TRAINED_FILE
from training.finished import Finished, finished_checkpoints, is_finished


class Training(NamedTuple):
    """One training of all folds. `label` tells its stages from those of other seeds, "" where `seed` is None."""

    seed: int | None
    folder: Path
    config: Path
    label: str


def trainings(model: PlannedModel, home: Path) -> list[Training]:
    """Every training of a model; a single one, in folders without a seed's name, where the experiment has no seeds."""
    if not model.seeds:
        return [Training(None, home / "training", home / "training.yaml", "")]
    return [
        Training(seed, home / "training" / f"seed-{seed}", home / f"training-seed-{seed}.yaml", f" seed {seed}")
        for seed in model.seeds
    ]


def last_checkpoints(training: Training) -> list[Finished]:
    """What each fold that is finished so far ended with."""
    ends: dict[Path, Finished] = {}
    for one in finished_checkpoints(training.folder):
        ends[one.folder.parent] = max(one, ends.get(one.folder.parent, one), key=lambda checkpoint: checkpoint.step)
    return list(ends.values())


def is_trained(model: PlannedModel, training: Training) -> bool:
    """Whether every fold that was asked for is finished."""
    from training.config import folds_of

    return all(is_finished(training.folder / f"fold-{fold}") for fold in folds_of(model.training))


def training_stage(experiment: Experiment, model: PlannedModel, training: Training, gpus: int) -> Stage:
    """The stage that trains all folds with one seed."""
    config, output, home = training.config, training.folder, training.config.parent

    def prepare() -> None:
        settings = {
            **model.training,
            **({} if training.seed is None else {"seed": training.seed}),
            "model_name_or_path": model.pretrained,
            "data_dir": experiment.data_dir,
            "start_token_id": model.start_token_id,
            "output_dir": str(output),
        }
        write_launched(shape, home)
        atomic_write(config, yaml.safe_dump(settings, sort_keys=False))

    def finished() -> bool:
        return is_trained(model, training)

    def progress() -> list[Path]:
        return sorted(output.glob("fold-*/checkpoint-*/manifest.json")) + sorted(output.glob(f"fold-*/{TRAINED_FILE}"))

    shape = model.accelerate_config
    start, wanted = launcher(launched(shape, home), gpus), needs(shape, gpus)
    arguments = (*program("training"), "--config", str(config))
    return Stage(f"{model.stage}{training.label}", start, arguments, wanted, finished, prepare, progress)
