"""Which checkpoint a run goes on from, and how when its processes are not as many as those that wrote it."""

from __future__ import annotations

import fnmatch
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator

from harness.machine.run_module import program, safe_environment
from harness.storage.names import inside
from harness.storage.text import read_text
from training.checkpoints import require_own, sealed_names
from training.sharding import zero_stage

STAGED = ".resuming"
log = logging.getLogger(__name__)


class SavedState(NamedTuple):
    """How the optimizer's state in a checkpoint is split: ZeRO's stage (0: whole), and over how many processes."""

    stage: int
    processes: int


def saved_state(checkpoint: Path) -> SavedState | None:
    """None where there is none: a checkpoint that was kept to be scored, not to go on from."""
    names = sealed_names(checkpoint)
    if shards := fnmatch.filter(names, "global_step*zero_pp_rank_*_optim_states.pt"):
        weights_too = fnmatch.filter(names, "global_step*zero_pp_rank_*_model_states.pt")
        return SavedState(3 if weights_too else 2, len(shards))
    return SavedState(0, 1) if "optimizer.pt" in names else None


def newest(checkpoints: Sequence[Path]) -> Path | None:
    """The last of these that a run can go on from."""
    return next((one for one in reversed(checkpoints) if saved_state(one) is not None), None)


@contextmanager
def ready(checkpoint: Path | None, accelerator: Accelerator, allow_pickle: bool = False) -> Iterator[Path | None]:
    """The folder to resume from: `checkpoint`, or its conversion for this number of processes, kept while in use.

    DDP's state is whole and serves any number. ZeRO's is in as many parts as there were processes, and goes through
    DeepSpeed's universal checkpoint. All processes call this together.

    Args:
        allow_pickle: take DeepSpeed's pickled state from checkpoints too that this run's folder does not know.

    Raises:
        ValueError: the checkpoint was written under another ZeRO stage, or holds pickled state that is not this run's.
        RuntimeError: DeepSpeed could not convert it.
    """
    state = None if checkpoint is None else saved_state(checkpoint)
    if checkpoint is None or state is None:
        yield None
        return
    stage = zero_stage(accelerator)
    if state.stage != stage:
        raise ValueError(
            f"{checkpoint} was written by a run {_named(state.stage)}, and this one is {_named(stage)}: the "
            "optimizer's state does not pass from one to the other. Launch with an accelerate config of that kind "
            "(any number of processes), or give another output_dir to start anew"
        )
    if stage and not allow_pickle:
        # On every rank, since each loads a part.
        require_own(checkpoint)
    if stage == 0 or state.processes == accelerator.num_processes:
        yield checkpoint
        return
    folder = checkpoint.parent / STAGED
    config = accelerator.state.deepspeed_plugin.deepspeed_config
    own = config.get("checkpoint", {})
    try:
        _stage(checkpoint, folder, accelerator)
        config["checkpoint"] = {**own, "load_universal": True}
        yield folder / checkpoint.name
    finally:
        config["checkpoint"] = own
        if accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)


def _stage(checkpoint: Path, folder: Path, accelerator: Accelerator) -> None:
    if accelerator.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        log.info("%s: converting its optimizer state for %d process(es)", checkpoint, accelerator.num_processes)
        aside = folder.with_name(f"{STAGED}-aside")
        convert(checkpoint, aside / checkpoint.name)
        aside.rename(folder)
    # By polling, since a conversion may take longer than the process group waits for a rank.
    while not (folder / checkpoint.name).is_dir():
        time.sleep(0.5)
    accelerator.wait_for_everyone()


def convert(checkpoint: Path, target: Path) -> None:
    """Write DeepSpeed's universal form of a checkpoint, which any number of processes can load, to a new folder.

    Raises:
        RuntimeError: with DeepSpeed's own message.
    """
    shutil.rmtree(target.parent, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("trainer_state.json", "scheduler.pt"):
        shutil.copy2(checkpoint / name, target / name)
    for random_state in checkpoint.glob("rng_state*.pth"):
        shutil.copy2(random_state, target / random_state.name)
    step = inside(checkpoint, read_text(latest := checkpoint / "latest").strip(), str(latest)).name
    command = [sys.executable, *program("deepspeed.checkpoint.ds_to_universal"), "--inject_missing_state"]
    command += ["--input_folder", str(checkpoint / step), "--output_folder", str(target / step)]
    variables = safe_environment(os.environ)
    outcome = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise RuntimeError(f"{checkpoint}: DeepSpeed could not convert it:\n{outcome.stdout}{outcome.stderr}")


def mend_converted(optimizer: Any, checkpoint: Path) -> None:
    """Put right what DeepSpeed's loader of universal checkpoints leaves wrong under ZeRO-3.

    All groups of weights come to share one step counter, which each of them then counts up, and the first group's
    weight decay, which biases and norms are exempt from.

    Args:
        optimizer: torch's own, as DeepSpeed holds it.
        checkpoint: as `convert` wrote it.
    """
    (file,) = checkpoint.glob("global_step*/zero/optimizer_state.pt")
    # DeepSpeed puts objects of its own in there, and has just read this file, which `convert` made of a checkpoint that
    # `require_own` let pass, in the same way.
    saved = torch.load(file, map_location="cpu", weights_only=False)["param_groups"]
    for group, its in zip(optimizer.param_groups, saved, strict=True):
        group["weight_decay"] = its["weight_decay"]
    for state in optimizer.state.values():
        state["step"] = state["step"].clone()


def _named(stage: int) -> str:
    return f"under ZeRO-{stage}" if stage else "of one process or DDP"
