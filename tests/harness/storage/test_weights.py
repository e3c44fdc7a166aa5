"""Weights are asked for ahead of the time they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.storage.weights import read_ahead


def test_every_file_of_weights_is_asked_for_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *_: asked.append(os.fstat(file).st_ino), raising=False)
    files = [tmp_path / name for name in ("model-1.safetensors", "model-2.safetensors", "optimizer.pt")]
    for file in files:
        file.write_bytes(b"x")
    read_ahead(tmp_path)
    assert sorted(asked) == sorted(file.stat().st_ino for file in files[:2])


def test_where_the_system_cannot_be_asked_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    read_ahead(tmp_path)
