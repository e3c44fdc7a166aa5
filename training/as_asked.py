"""A run is as distributed as it was asked to be, or it stops: several wrong set-ups train alone and exit 0."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine.strategy import read_zero
from training.launched import under_deepspeed

ADVICE = "Check distributed_type in the accelerate config (accelerate_configs/ has tested ones)."


@dataclass(frozen=True)
class Asked:
    """What the launcher was told: how many processes (None: it did not say) and whether by DeepSpeed."""

    processes: int | None
    deepspeed: bool


def asked() -> Asked:
    """What `accelerate launch` was asked for by its command line and config, else what the environment says.

    With some settings the launcher starts one process and tells it nothing of the others that the config wanted, so
    its own command line is read, where the system shows it.
    """
    deepspeed = under_deepspeed()
    world = os.environ.get("WORLD_SIZE")
    launch = launcher_arguments(os.getppid())
    if launch is None:
        return Asked(None if world is None else int(world), deepspeed)
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    options = launch_command_parser().parse_args(launch)
    file = options.config_file or default_config_file
    config = load_config_from_file(file) if Path(file).is_file() else None
    processes = options.num_processes or (config.num_processes if config is not None else None)
    by_config = config is not None and str(config.distributed_type).endswith("DEEPSPEED")
    explicit = processes if processes and processes > 0 else None if world is None else int(world)
    return Asked(explicit, deepspeed or by_config or bool(options.use_deepspeed))


def launcher_arguments(process: int) -> list[str] | None:
    """The arguments after `accelerate launch` of a process; None if it is another program."""
    file = Path(f"/proc/{process}/cmdline")
    if not file.is_file():
        return None
    return after_launch(file.read_text(encoding="utf-8", errors="replace").split("\0")[:-1])


def after_launch(words: Sequence[str]) -> list[str] | None:
    """What follows `accelerate launch` in a command line, however it was spelled; None if it is none."""
    for place, word in enumerate(words[:4]):
        if word == "accelerate.commands.launch" or Path(word).name == "accelerate-launch":
            return list(words[place + 1 :])
        if Path(word).name == "accelerate" and words[place + 1 : place + 2] == ["launch"]:
            return list(words[place + 2 :])
    return None


def require_processes(found: int) -> None:
    """Stops a run that is less distributed than its launcher was asked for.

    `accelerate launch` with the wrong settings starts several independent runs of one process, or a single one.

    Raises:
        RuntimeError: `found` processes work together, but the launcher was asked for another number.
    """
    wanted = asked().processes
    if wanted is not None and found != wanted:
        raise RuntimeError(
            f"the launcher was asked for {wanted} processes, but {found} work together: each would train alone on all "
            f"the data. {ADVICE}"
        )


def require_strategy(distributed_type: str, zero_stage: int | None) -> None:
    """Stops a run whose model is not spread as the launcher was asked to.

    Args:
        distributed_type: accelerate's, such as `DEEPSPEED` or `MULTI_CPU`.
        zero_stage: of the DeepSpeed engine that wraps the model; None if none does.

    Raises:
        RuntimeError: DeepSpeed was asked for and does not run, runs unasked, or at another stage; says which.
    """
    wanted = asked_zero_stage() if asked().deepspeed else None
    found = zero_stage if distributed_type == "DEEPSPEED" else None
    if wanted != found:
        raise RuntimeError(
            f"the launcher was asked for {_named(wanted)}, but the model is trained by {_named(found)} "
            f"(distributed_type {distributed_type}). {ADVICE}"
        )


def asked_zero_stage() -> int:
    """The ZeRO stage that accelerate passed on from its config or command line.

    Raises:
        RuntimeError: it passed on none: DeepSpeed was asked for, and something else was launched.
    """
    file = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if file != "none":
        return int(read_zero(Path(file))["zero_stage"])
    if stage := os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE"):
        return int(stage)
    raise RuntimeError(f"DeepSpeed was asked for, but the launcher started the processes without it. {ADVICE}")


def require_disjoint(rows_by_rank: Sequence[Sequence[int]], called: str = "CrowS-Pairs rows") -> None:
    """Stops a run whose processes see the same pairs or texts.

    Args:
        rows_by_rank: the numbers of each rank's part of one global batch.
        called: what these are the numbers of, in the plural.

    Raises:
        RuntimeError: two ranks, or one rank twice, have a row; names them.
    """
    owner: dict[int, int] = {}
    one = called.removesuffix("s")
    for rank, rows in enumerate(rows_by_rank):
        for row in rows:
            if row in owner:
                raise RuntimeError(
                    f"the data are not shared out: ranks {owner[row]} and {rank} both have {one} {row} in one "
                    f"step, so the processes would repeat each other's work. {ADVICE}"
                )
            owner[row] = rank


def zero_stage_of(model: Any) -> int | None:
    """The stage of the DeepSpeed engine that wraps a model, None without one."""
    if type(model).__module__.partition(".")[0] != "deepspeed":
        return None
    return int(model.zero_optimization_stage())


def _named(stage: int | None) -> str:
    return "no DeepSpeed" if stage is None else f"ZeRO-{stage}"
