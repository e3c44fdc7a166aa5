"""The ranks of a launch as forks of one process that has everything imported: alone, each of them needs ten seconds.

The environment is the one that accelerate's launcher makes of its config. That it starts processes at all is for the
tests of signals, hangs and experiments, which go through it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from harness.storage.shipped import shipped

CONFIGS = shipped("accelerate_configs")
IMPORTED = ("training.run", "harness.scoring.evaluation", "lm_eval.evaluator", "deepspeed")
LONGEST = 300
"""Seconds that a launch may take."""


class Ranks:
    """The ranks of `accelerate_configs/{config}.yaml`, each of which calls `work`, of a module that can be imported.

    Args:
        folder: where what they print goes.
        flags: more flags of the launcher.
    """

    def __init__(
        self, config: str, work: Callable[..., None], arguments: tuple[Any, ...], folder: Path, *flags: str
    ) -> None:
        environments = _environments(config, *flags)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        self._files = [folder / f"{config}-rank-{rank}.log" for rank in range(len(environments))]
        self.processes = [
            context.Process(target=_rank, args=(environment, file, work, arguments), daemon=True)
            for environment, file in zip(environments, self._files, strict=True)
        ]
        for process in self.processes:
            process.start()

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()

    def ended(self) -> tuple[list[int | None], str]:
        """Their exit codes once all have ended, and what all of them printed."""
        for process in self.processes:
            process.join(LONGEST)
        printed = "\n".join(file.read_text(errors="replace") for file in self._files if file.is_file())
        return [process.exitcode for process in self.processes], printed


def launch(config: str, work: Callable[..., None], arguments: tuple[Any, ...], folder: Path, *flags: str) -> str:
    """`Ranks` that have to end well; returns what all of them printed.

    Raises:
        AssertionError: a rank failed; says what all printed.
    """
    with Ranks(config, work, arguments, folder, *flags) as ranks:
        codes, printed = ranks.ended()
    assert codes == [0] * len(codes), printed
    return printed


def _environments(config: str, *flags: str) -> list[dict[str, str]]:
    """What accelerate's launcher hands to torch's, and what that one adds for each rank."""
    import torch.distributed.run
    from accelerate.commands.launch import launch_command, launch_command_parser

    handed: list[tuple[Any, dict[str, str]]] = []
    file = str(CONFIGS / f"{config}.yaml")
    asked = ["--config_file", file, "--main_process_port", "0", *flags, "script.py"]
    with mock.patch.object(torch.distributed.run, "run", lambda given: handed.append((given, dict(os.environ)))):
        launch_command(launch_command_parser().parse_args(asked))
    ((given, environment),) = handed
    world = int(given.nproc_per_node)
    common = {**environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(given.master_port), "OMP_NUM_THREADS": "1"}
    common |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def _rank(environment: dict[str, str], file: Path, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(CONFIGS.parent)
    with file.open("wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        work(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
