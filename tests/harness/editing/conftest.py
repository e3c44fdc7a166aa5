"""Tiny models with what a training left of them, for controls to be as large as."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
from control_cases import Case

from harness.data.sources import SAMPLE, SOURCES
from harness.data.wikitext import passages


@pytest.fixture(scope="session")
def literate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama over bytes that has read a little, so that noise is damage: it improves a model of random weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_models.byte_llama(tmp_path_factory.mktemp("literate"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = passages(SAMPLE / SOURCES["wikitext2"].path, 30, 100)
    ids = torch.tensor([tokenizer("<s>" + text)["input_ids"][:128] for text in texts if len(text) > 128])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def adapted(literate: Path, tmp_path: Path) -> Case:
    """A Llama over bytes and an adapter of rank 2 on two of its modules."""
    base = literate
    adapter = tiny_models.lora(base, tmp_path / "trained", target_modules=["q_proj", "down_proj"])
    return Case(base, tmp_path / "controls", adapter)
