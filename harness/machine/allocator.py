"""What glibc does with freed memory on a CPU: keeps it for the next tensor, which is fast, or hands it back."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MIB = 1 << 20


def keep_freed_memory() -> None:
    """For scoring, whose logits over a whole vocabulary are tens of megabytes a batch; does nothing without glibc.

    By default each such tensor is mapped anew and zeroed page by page: vocabulary-wide arithmetic (768 positions,
    49,152 tokens) took 1.7 s with it and 0.63 s without, on one core.
    """
    _set(_M_MMAP_THRESHOLD, 1024 * _MIB)
    _set(_M_TRIM_THRESHOLD, 2048 * _MIB - 1)


def hand_freed_memory_back() -> None:
    """For training, whose peak is what `stereoscope plan` promises; does nothing without glibc.

    What is kept leaves holes, since the scraps that aligning cuts off stand between freed blocks (docs/distributed.md).
    BERT-base with LoRA took 3.8 GiB so, and 2.1 with each tensor of a megabyte or more mapped for itself, which costs
    13 to 15% of a step's time.
    """
    _set(_M_MMAP_THRESHOLD, _MIB)


def _set(option: int, value: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").mallopt(option, value)
