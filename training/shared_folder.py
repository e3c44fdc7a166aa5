"""Machines that train together write one folder: checkpoints of rank 0, and under ZeRO the shards of every rank."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from harness.storage.files import atomic_write
from training.config import TrainingArguments


def require_shared(output_dir: Path, arguments: TrainingArguments) -> None:
    """Every rank must see what rank 0 writes; else the others would resume from elsewhere, or not at all.

    Raises:
        ValueError: one does not; names its machine.
    """
    if arguments.world_size == 1:
        return
    # A name that nobody has looked for yet: NFS remembers for a while that a file is not there.
    name = [f".seen-{uuid.uuid4().hex}"]
    broadcast_object_list(name)
    file = output_dir / name[0]
    if arguments.process_index == 0:
        atomic_write(file, "")
    PartialState().wait_for_everyone()
    blind = gather_object([] if file.is_file() else [f"rank {arguments.process_index} on {os.uname().nodename}"])
    if arguments.process_index == 0:
        file.unlink()
    if blind:
        raise ValueError(
            f"output_dir {output_dir.resolve()}: {', '.join(blind)} cannot see what rank 0 writes there. All machines "
            "must share it (NFS, Lustre, ...), under one path"
        )
