"""A run's folder: a full disk is called by its name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEARLY_NOTHING = 1 << 20
"""Bytes: with fewer free, an error while writing is put down to the full disk, whatever it says."""


@contextmanager
def full_disk_explained(folder: Path, saving: Path) -> Iterator[None]:
    """What fails inside for want of space is raised with the folder and what to do; its half checkpoint is removed.

    safetensors, torch and DeepSpeed each raise errors of their own for a full disk.

    Args:
        saving: where checkpoints are written before they are complete.

    Raises:
        OSError: the disk was full.
    """
    try:
        yield
    except Exception as error:
        if not _for_want_of_space(error, folder):
            raise
        written = sum(file.stat().st_size for file in saving.rglob("*") if file.is_file()) if saving.is_dir() else 0
        free = shutil.disk_usage(folder).free
        shutil.rmtree(saving, ignore_errors=True)
        raise OSError(
            errno.ENOSPC,
            f"{folder}: the disk is full ({free / 1e6:.1f} MB free, and the checkpoint that broke off had "
            f"{written / 1e6:.1f} MB so far; it was removed). Complete checkpoints are intact: make room, or set "
            "save_total_limit, and run the same command again",
        ) from error


def _for_want_of_space(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return "No space left on device" in str(error) or shutil.disk_usage(folder).free < NEARLY_NOTHING
