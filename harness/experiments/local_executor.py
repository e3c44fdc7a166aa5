"""`stereoscope run` without a cluster: stages one after the other, on this machine."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from harness.experiments.launching import launch
from harness.experiments.stage import Stage, duration, titled
from harness.machine.devices import visible_gpus
from harness.machine.orphans import stage_environment

log = logging.getLogger(__name__)


class LocalExecutor:
    """Runs stages on this machine, one after the other."""

    @property
    def gpus(self) -> int:
        """All that are visible here."""
        return len(visible_gpus())

    def run(self, stages: Sequence[Stage], folder: Path, restarts: int) -> None:
        """In the order given, up to the first that fails."""
        environment = stage_environment(folder)
        for title, stage in titled(stages):
            _launch(title, stage, environment, restarts)


def _launch(title: str, stage: Stage, environment: dict[str, str], restarts: int) -> None:
    if stage.finished():
        log.info("%s: finished earlier, skipped", title)
        return
    stage.prepare()
    log.info("%s: started", title)
    started = time.monotonic()
    code = launch(stage.command, environment, restarts, stage.progress)
    if code != 0 or not stage.finished():
        raise RuntimeError(
            f"{title}: failed with exit code {code} (its messages are above). Finished stages are kept: "
            f"mend the cause and run the same command again. The stage alone: {shlex.join(stage.command)}"
        )
    log.info("%s: done in %s", title, duration(time.monotonic() - started))
