"""A causal model folder without weights, and a machine without data."""

from __future__ import annotations

from pathlib import Path

import pytest
from byte_tokenizer import byte_tokenizer

from harness.data import sources


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the readers look at of a causal model: its config and its byte tokenizer."""
    from transformers import LlamaConfig

    folder = tmp_path_factory.mktemp("model")
    byte_tokenizer().save_pretrained(folder)
    LlamaConfig(architectures=["LlamaForCausalLM"], vocab_size=258).save_pretrained(folder)
    return folder


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without data, and where `fetch` would put some; notices not yet given."""
    monkeypatch.delenv("STEREOSCOPE_DATA", raising=False)
    monkeypatch.delenv("STEREOSCOPE_MIRROR", raising=False)
    monkeypatch.setenv("STEREOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(sources.TOLD, raising=False)
    return tmp_path / "cache"
