"""How long a method takes to make a model: the mean over a step's trainings."""

from __future__ import annotations

from statistics import fmean

from harness.reporting.stages import StageFiles
from harness.storage import making


def making_seconds(stage: StageFiles) -> float | None:
    """Seconds for one of the step's models, as records in the run's folder say; None where they do not of each."""
    places = [checkpoint.provenance.checkpoint for checkpoint in stage.checkpoints]
    known = [
        seconds for place in places if place and (seconds := making.making_seconds(stage.run.folder, place)) is not None
    ]
    return fmean(known) if len(known) == len(places) else None
