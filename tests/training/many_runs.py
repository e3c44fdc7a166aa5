"""Several runs of `python -m training` in one launched process group: what takes seconds is done once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import forked_ranks
from forked_ranks import CONFIGS


@dataclass(frozen=True)
class Run:
    """Flags of `python -m training`, a space parting several values of one.

    `deepspeed` takes the place of the launched config's DeepSpeed file. `fp16_on_cpu` lets DeepSpeed believe that this
    CPU computes in fp16. `refused` expects a ValueError with this in it.
    """

    flags: dict[str, object]
    deepspeed: str = ""
    fp16_on_cpu: bool = False
    refused: str = ""


def launch(config: str, runs: Sequence[Run], folder: Path, *flags: str) -> None:
    """Each run in turn, in the processes of `accelerate_configs/{config}.yaml` and more flags of the launcher.

    Raises:
        AssertionError: a run failed, or was not refused as expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    forked_ranks.launch(config, each, (runs,), folder, *flags)


def here(run: Run) -> None:
    """One run of one process, this one."""
    from training.config import parse
    from training.run import train

    train(*parse(_words(run)))


def _words(run: Run) -> list[str]:
    return [word for name, value in run.flags.items() for word in (f"--{name}", *str(value).split(" "))]


def each(runs: Sequence[Run]) -> None:
    """Each run in turn, in this process, which is one of the launched."""
    from training import config
    from training import run as training

    for run in runs:
        if run.deepspeed:
            os.environ["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = str(CONFIGS / f"{run.deepspeed}.json")
        if run.fp16_on_cpu:
            from deepspeed.accelerator import get_accelerator

            get_accelerator().is_fp16_supported = lambda: True
            config.require_able = lambda *_: None
        try:
            training.main(_words(run))
        except ValueError as error:
            if not run.refused or run.refused not in str(error):
                raise
        else:
            assert not run.refused, f"expected to be refused: {run.refused}"
