"""`harness.run`: a whole experiment, as `stereoscope run` does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api.alone import require_one_process
from harness.api.report import Report, read_report


def run(experiment: str | Path | Mapping[str, Any], output_dir: str | Path | None = None) -> Report:
    """Score the base models, fine-tune them, score every checkpoint, report; finished stages are skipped.

    Stages are processes of their own, so nothing of this one's memory is in them, and killing this one ends them.

    Args:
        experiment: an experiment file, the name of one that comes with the program, or what such a file would say.
        output_dir: folder of the run; by default `runs/NAME`.

    Raises:
        ValueError: the experiment or the folder is not fit for it; nothing was started then.
        RuntimeError: a stage failed; what was finished before is kept.
    """
    require_one_process("run", "harness run ...")
    from harness.experiments.experiment import run as run_stages
    from harness.experiments.experiment_file import from_settings

    if isinstance(experiment, Mapping):
        asked, told = from_settings(experiment), f"harness.run({dict(experiment)!r})"
        folder = run_stages(asked, None if output_dir is None else Path(output_dir), command=told)
    else:
        told = f"harness.run({str(experiment)!r})"
        folder = run_stages(Path(experiment), None if output_dir is None else Path(output_dir), command=told)
    return read_report(folder)
