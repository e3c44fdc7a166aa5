"""Freed memory is kept only where every process could take three times its peak, and this is decided once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from training import kept_memory
from training.kept_memory import KeptMemory, free_bytes, has_room, peak_bytes

GIB = 1 << 30


@pytest.mark.parametrize(("processes", "free", "kept"), [(1, 4, True), (1, 3.9, False), (2, 8, True), (2, 7.9, False)])
def test_there_is_room_for_three_times_the_peak_of_every_process(processes: int, free: float, kept: bool) -> None:
    assert has_room(2 * GIB, int(free * GIB), processes) == kept


@pytest.mark.parametrize(("device", "free", "times"), [("cpu", 1 << 60, 1), ("cpu", 0, 0), ("cuda", 1 << 60, 0)])
def test_it_is_decided_after_the_first_step_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, device: str, free: int, times: int
) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(kept_memory, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(kept_memory, "free_bytes", lambda: free)
    arguments: Any = SimpleNamespace(device=torch.device(device))
    callback, unused = KeptMemory(), SimpleNamespace()
    for _ in range(3):
        callback.on_step_end(arguments, unused, unused)  # type: ignore[arg-type]
    assert len(kept) == times


def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(kept_memory, "_CGROUPS", [(str(limit), str(used))])
    whole = psutil.virtual_memory().total
    assert 0 < free_bytes() <= whole
    limit.write_text("max\n")
    used.write_text("1000\n")
    assert 1000 < free_bytes() <= whole
    limit.write_text("3000\n")
    assert free_bytes() == 2000


def test_the_peak_is_in_bytes() -> None:
    block = torch.ones(64 << 18)
    assert peak_bytes() > block.numel() * 4
