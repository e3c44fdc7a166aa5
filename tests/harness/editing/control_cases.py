"""A base model with what a training left of it, as a job to make controls for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from harness.editing.job import ControlJob, ControlTarget, Trained


class Case(NamedTuple):
    """A base model and the folder that holds a trained checkpoint of it and its controls."""

    base: Path
    folder: Path
    checkpoint: Path

    def job(self, *seeds: int, **more: Any) -> ControlJob:
        """The controls of these seeds, in `folder`."""
        targets = [ControlTarget(folder=self.folder / f"seed-{seed}", seed=seed, inputs_sha256="0") for seed in seeds]
        trained = [Trained(checkpoint=self.checkpoint, fold=0, seed=None)]
        given = {"trained": tuple(trained), "targets": tuple(targets), "data_dir": "sample", **more}
        return ControlJob(model="tiny", pretrained=str(self.base), kind="noise", **given)


def rescaled(adapter: Path, factor: float) -> None:
    """Make an adapter's change `factor` times as large."""
    from safetensors.torch import load_file, save_file

    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    scaled = {name: weight * (factor if ".lora_B." in name else 1) for name, weight in weights.items()}
    save_file(scaled, file, metadata={"format": "pt"})
