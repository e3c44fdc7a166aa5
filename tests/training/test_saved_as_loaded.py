"""What training does not change is in its checkpoint as it was loaded: how texts are generated, and where they end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from short_runs import two_steps
from transformers import AutoConfig, GenerationConfig

from harness.data.crows_pairs import Pair

Tiny = Callable[..., Path]
PUBLISHED = {
    "greedy beside a temperature": {"do_sample": False, "temperature": 0.6, "top_p": 0.9},
    "one beam that stops early": {"num_beams": 1, "early_stopping": True, "length_penalty": 2.0},
    "several ends": {"eos_token_id": [1, 7], "pad_token_id": -1},
    "no file": None,
}


def copy_with(model: Path, folder: Path, generation: dict[str, Any] | None) -> Path:
    shutil.copytree(model, folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.mark.parametrize("kind", ["llama", "t5"])
@pytest.mark.parametrize("generation", PUBLISHED.values(), ids=PUBLISHED)
def test_a_generation_config_that_does_not_validate_is_kept_and_stops_no_training(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, generation: dict[str, Any] | None
) -> None:
    model = copy_with(tiny(kind), tmp_path / "model", generation)
    checkpoint = two_steps(model, tmp_path / "run", pairs[:8], full=True, objective="anti")
    kept = GenerationConfig.from_pretrained(checkpoint).to_diff_dict()
    for name, value in (generation or {}).items():
        assert kept.get(name, GenerationConfig().to_dict().get(name)) == value
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        found, loaded = (getattr(AutoConfig.from_pretrained(folder), token, None) for folder in (checkpoint, model))
        assert found == loaded
    assert (checkpoint / "tokenizer.json").is_file()


def test_a_generation_config_that_no_text_can_be_generated_by_is_refused_before_the_first_step(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair]
) -> None:
    model = copy_with(tiny("llama"), tmp_path / "model", {"do_sample": False, "num_return_sequences": 3})
    with pytest.raises(ValueError, match="num_return_sequences"):
        two_steps(model, tmp_path / "run", pairs[:8], full=True, objective="anti")
    assert not list((tmp_path / "run").glob("checkpoint-*"))
