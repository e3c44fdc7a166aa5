"""A step of an experiment, how its processes are launched, what it needs of a machine, and what runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.machine.run_module import program
from harness.machine.strategy import read_strategy

# A second run on this machine would find the usual port taken, and tell of it in a paragraph.
_FREE_PORT = ("--main_process_port", "0")


class Needs(NamedTuple):
    """What a stage takes of one machine while it runs."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Stage:
    """One step: a command to launch, and whether its outcome is there already.

    `progress` is any value that changes when a stage that failed would go on from further than before. `after` names
    the stages whose outcome it takes in; stages that do not wait for each other may run at once.
    """

    name: str
    launcher: tuple[str, ...]
    arguments: tuple[str, ...]
    needs: Needs
    finished: Callable[[], bool]
    prepare: Callable[[], None]
    progress: Callable[[], object]
    after: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command line."""
        return (*self.launcher, *self.arguments)


class Executor(Protocol):
    """Runs stages on this machine or on others."""

    @property
    def gpus(self) -> int:
        """GPUs that a stage may take whose processes no accelerate config counts."""

    def run(self, stages: Sequence[Stage], folder: Path, restarts: int) -> None:
        """Run the stages that are not finished, each after those it waits for.

        Args:
            restarts: how often one that fails is started again, each time only if it had come further.

        Raises:
            RuntimeError: a stage failed; what was finished before is kept.
        """


def titled(stages: Sequence[Stage]) -> Iterator[tuple[str, Stage]]:
    """Each stage with what messages call it; the report counts as the last one."""
    for number, stage in enumerate(stages, start=1):
        yield f"[{number}/{len(stages) + 1}] {stage.name}", stage


def launcher(accelerate_config: Path | None, gpus: int = 0) -> tuple[str, ...]:
    """The beginning of a stage's command line.

    Args:
        accelerate_config: decides alone where it is given.
        gpus: else one process on each of so many; up to one GPU, a single process without a launcher.
    """
    # This is `accelerate launch` of this very environment, on PATH or not.
    accelerate = (sys.executable, *program("accelerate.commands.launch"))
    if accelerate_config is not None:
        return (*accelerate, "--config_file", str(accelerate_config), *_FREE_PORT)
    if gpus > 1:
        # All said here: what is left out is taken from the user's own default config, if there is one.
        shape = ("--multi_gpu", "--num_processes", str(gpus), "--num_machines", "1", "--machine_rank", "0", *_FREE_PORT)
        return (*accelerate, *shape, "--gpu_ids", "all", "--mixed_precision", "no", "--dynamo_backend", "no")
    return (sys.executable,)


def needs(accelerate_config: Path | None, gpus: int = 0) -> Needs:
    """What a stage started by `launcher` with the same arguments takes: a core a process, and a GPU unless on CPU.

    Raises:
        ValueError: the config spans several machines.
    """
    if accelerate_config is None:
        return Needs(max(gpus, 1), gpus)
    strategy = read_strategy(accelerate_config, {})
    if (machines := strategy.machines) > 1:
        raise ValueError(
            f"{accelerate_config}: num_machines is {machines}, but a stage of `stereoscope run` is launched on one "
            "machine. Train by `accelerate launch -m training` on each (docs/distributed.md), or take another config"
        )
    return Needs(strategy.processes, strategy.processes if strategy.gpu else 0)


def duration(seconds: float) -> str:
    """Seconds in words, for messages."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
