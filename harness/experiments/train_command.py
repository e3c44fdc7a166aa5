"""`stereoscope train`: `python -m training` in this process, or under accelerate with the config that is asked for."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.experiments.launch_config import launched, write_launched
from harness.experiments.launching import launch, sigterm_raises
from harness.experiments.places import Places
from harness.experiments.stage import launcher, needs
from harness.machine.devices import require_able, require_deepspeed, visible_gpus
from harness.machine.orphans import stage_environment
from harness.machine.run_module import program
from harness.machine.startup import imports_uncollected
from harness.machine.strategy import read_strategy

HELP = """\
usage: stereoscope train [--accelerate-config NAME_OR_FILE] --config FILE [options]

  --accelerate-config NAME_OR_FILE
                                how to spread it over processes: the name of a config that comes
                                with the program (cpu_2proc, t4x2_ddp, ...) or a file of
                                `accelerate config`; without it one process trains here

The other options are those of `python -m training`, which several machines start by themselves:
"""


def run(argv: Sequence[str]) -> None:
    """Train as the flags say; SIGTERM and Ctrl-C are passed on, and a checkpoint is saved before the end.

    Raises:
        ValueError: no such config, or one that this machine cannot run; nothing was started then.
        SystemExit: with the exit code of the training, where it is not 0.
    """
    own = argparse.ArgumentParser(prog="stereoscope train", add_help=False, allow_abbrev=False)
    own.add_argument("--accelerate-config", "--accelerate_config", type=Path)
    asked, flags = own.parse_known_args(list(argv))
    if asked_for := {"-h", "--help", "--help-all", "--help_all"} & set(flags):
        print(HELP, flush=True)
        _train_here(sorted(asked_for)[-1:])
    if asked.accelerate_config is None:
        _train_here(flags)
    elif code := _launch(Places().accelerate_config(asked.accelerate_config), flags):
        sys.exit(code)


def _train_here(flags: Sequence[str]) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with imports_uncollected():
        from training.run import main

    main(flags)


def _launch(config: Path, flags: Sequence[str]) -> int:
    needs(config)  # refuses a config of several machines
    strategy = read_strategy(config, {})
    require_deepspeed(strategy)
    require_able(strategy, visible_gpus())
    with tempfile.TemporaryDirectory(prefix="stereoscope-train-") as name:
        folder = Path(name)
        write_launched(config, folder)
        command = (*launcher(launched(config, folder)), *program("training"), *flags)
        with sigterm_raises():
            return launch(command, stage_environment(folder), 0, lambda: None)
