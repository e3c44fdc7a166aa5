"""Training with a tokenizer that has tokens beyond the model's embeddings, as Llama 2's has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from short_runs import two_steps
from transformers import AutoTokenizer

from harness.data.crows_pairs import Pair

Tiny = Callable[..., Path]


def with_more_tokens(model: Path, folder: Path, *words: str) -> Path:
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"pad_token": "<own pad>"})
    tokenizer.add_tokens(list(words))
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_the_weights_are_those_of_training_without_the_tokens(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str
) -> None:
    model = with_more_tokens(tiny(kind), tmp_path / "more")
    plain, more = (two_steps(folder, tmp_path / name, pairs[:8]) for name, folder in (("a", tiny(kind)), ("b", model)))
    expected, found = (load_file(folder / "adapter_model.safetensors") for folder in (plain, more))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert AutoTokenizer.from_pretrained(more).pad_token == "<own pad>"


@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_a_row_with_such_a_token_is_refused_by_name(tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str) -> None:
    word = pairs[0].sent_more.split()[-2]
    model = with_more_tokens(tiny(kind), tmp_path / "more", word)
    complaint = rf"CrowS-Pairs row {pairs[0].row}: its text has the token '{word}' \(id 50\d\), and the model has"
    with pytest.raises(ValueError, match=complaint):
        two_steps(model, tmp_path / "run", pairs[:8])
