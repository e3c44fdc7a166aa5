"""`stereoscope projection JOB`: the projection of a run's model, made in a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.storage.files import atomic_write
from harness.storage.making import write_made
from harness.storage.projections import Settings
from harness.storage.reading import read_record


class ProjectionJob(BaseModel):
    """What `stereoscope run` writes for the stage that makes a projection: the arguments of `project`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrained: str
    kind: str
    output: Path
    texts: Path | None = None
    words: Path | None = None
    bias_types: tuple[str, ...]
    data_dir: str | None = None
    settings: Settings
    model_args: dict[str, Any] = Field(default_factory=dict)


def write_projection_job(file: Path, job: ProjectionJob) -> None:
    """Write the job file that `run_projection` reads."""
    atomic_write(file, json.dumps(job.model_dump(mode="json"), indent=1) + "\n")


def run_projection(file: Path) -> None:
    """Make the projection of a job file; its folder is there as a whole or not at all, how long it took beside it."""
    from harness.mitigation.project import project

    started, job = time.monotonic(), read_record(file, ProjectionJob)
    project(
        job.pretrained,
        job.kind,
        job.output,
        texts=job.texts,
        words=job.words,
        bias_types=job.bias_types,
        data_dir=job.data_dir,
        settings=job.settings,
        model_args=job.model_args,
    )
    write_made(job.output, time.monotonic() - started)
