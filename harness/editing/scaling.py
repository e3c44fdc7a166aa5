"""`stereoscope scale JOB`: what training taught an adapter, taken another number of times.

A task vector (Ilharco et al. 2023, arXiv 2212.04089): with theta0 the base and theta what training made of it, the
model is theta0 + s (theta - theta0). A negative s takes away what was learned. LoRA's change is B A times a constant,
so that only B is multiplied.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.data.split import SPLIT_FILE, bind, read_split
from harness.storage.adapter_files import WEIGHTS_FILE, is_up
from harness.storage.files import atomic_write
from harness.storage.folders import new_folder
from harness.storage.making import TRAINED_FILE, making_seconds
from harness.storage.manifest import MANIFEST
from harness.storage.reading import read_record

log = logging.getLogger(__name__)

LEFT = (SPLIT_FILE, MANIFEST, "trainer_state.json", WEIGHTS_FILE)
"""Files of a checkpoint that are another's in its scaled twin, or of no use there."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScaledTarget(_Part):
    """The last checkpoint of a fold, and the folder of its scaled twin, laid out as training lays out a fold's."""

    checkpoint: Path
    folder: Path
    epoch: float | None


class ScalingJob(_Part):
    """What `stereoscope run` writes for the stage that scales the adapters of one training."""

    model: str
    scale: float
    targets: tuple[ScaledTarget, ...]


def write_scaling_job(file: Path, job: ScalingJob) -> None:
    """Write the job file that `run_scaling` reads."""
    atomic_write(file, json.dumps(job.model_dump(mode="json"), indent=1) + "\n")


def run_scaling(file: Path) -> None:
    """Make every target of a job file; each fold's folder says that it is finished when it is whole.

    It notes the seconds that its making took, the training of what was scaled included, where that one's are known.
    """
    job = read_record(file, ScalingJob)
    for target in job.targets:
        started = time.monotonic()
        scale_adapter(target.checkpoint, target.folder, job.scale)
        fold, source = target.folder.parent, target.checkpoint.parent
        shutil.copyfile(source / SPLIT_FILE, fold / SPLIT_FILE)
        taught = making_seconds(source, target.checkpoint.name)
        seconds = None if taught is None else round(taught + time.monotonic() - started, 1)
        finished = {"checkpoints": {target.folder.name: target.epoch}, "scale": job.scale, "seconds": seconds}
        atomic_write(fold / TRAINED_FILE, json.dumps(finished, indent=1) + "\n")
        log.info("%s: %s times %g: %s", job.model, target.checkpoint, job.scale, target.folder)


def scale_adapter(checkpoint: Path, folder: Path, scale: float) -> None:
    """Write a LoRA adapter's twin that changes the base `scale` times as much; the folder is whole or not there.

    Raises:
        ValueError: the adapter has weights that are no LoRA matrices; names the file and one of them.
    """
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / WEIGHTS_FILE)
    if other := next((name for name in weights if ".lora_" not in name), None):
        raise ValueError(
            f"{checkpoint / WEIGHTS_FILE}: {other} is no LoRA matrix, so what training changed is not this adapter "
            "alone; train without it"
        )
    scaled = {name: weight * scale if is_up(name) else weight for name, weight in weights.items()}
    shutil.rmtree(folder, ignore_errors=True)  # of a stage that was stopped before it said that it was done
    with new_folder(folder) as whole:
        for file in checkpoint.iterdir():
            if file.is_file() and file.name not in LEFT and file.suffix in (".json", ".jinja", ".txt", ".model"):
                shutil.copyfile(file, whole / file.name)
        save_file(scaled, whole / WEIGHTS_FILE, metadata={"format": "pt"})
        split = read_split(checkpoint / SPLIT_FILE)
        bind(whole, split, split.base or "", split.base_weights_sha256 or "")
