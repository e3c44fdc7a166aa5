"""Tiny models of every family, and the real pairs where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import family_models
import pytest

from harness.data import crows_pairs
from harness.data.crows_pairs import Pair


@pytest.fixture(scope="session")
def real_pairs() -> list[Pair]:
    if not (folder := os.environ.get("STEREOSCOPE_DATA")):
        pytest.skip("STEREOSCOPE_DATA is not set: no real CrowS-Pairs to check")
    return crows_pairs.read(Path(folder) / "crows_pairs" / "crows_pairs_anonymized.csv")


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    return family_models.sample_pairs()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny("bert", dropout=0.1)`: the folder of that tiny model, written once."""
    written: dict[tuple[str, float], Path] = {}

    def folder(kind: str, dropout: float = 0.0) -> Path:
        if (kind, dropout) not in written:
            written[kind, dropout] = family_models.write(tmp_path_factory.mktemp(kind), kind, dropout)
        return written[kind, dropout]

    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny: Callable[..., Path]) -> Path:
    """The causal one."""
    return tiny("llama")
