"""An experiment's stages without a process each, whose start is most of what a tiny one costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.editing.job import run_control
from harness.editing.scaling import run_scaling
from harness.experiments.stage import Stage
from harness.mitigation.job import run_projection
from harness.scoring.job import run_job

JOBS: dict[str, Callable[[Path], None]] = {
    "score": run_job,
    "control": run_control,
    "scale": run_scaling,
    "projection": run_projection,
}


class Here:
    """Runs stages in this process, which has everything imported, and remembers which had something to do."""

    gpus = 0

    def __init__(self) -> None:
        self.started: list[str] = []

    def run(self, stages: Sequence[Stage], folder: Path, restarts: int) -> None:
        from training.run import main as train

        for stage in stages:
            if stage.finished():
                continue
            self.started.append(stage.name)
            stage.prepare()
            _, module, *rest = stage.arguments
            if module == "training":
                train(rest)
            else:
                JOBS[rest[0]](Path(rest[1]))
            assert stage.finished(), stage.name


def write_experiment(file: Path, model: Path, **more: Any) -> Path:
    """An experiment file with the tiny model on two tasks, and more keys; those that are None stay out."""
    content = {
        "name": "tiny",
        "data_dir": "sample",
        "models": [{"name": "tiny", "pretrained": str(model)}],
        "tasks": ["crows_pairs", "stereoset_intrasentence"],
        "scoring": {"limits": {"stereoset_intrasentence": 12}},
    }
    kept = {key: value for key, value in {**content, **more}.items() if value is not None}
    file.write_text(yaml.safe_dump(kept, sort_keys=False))
    return file
