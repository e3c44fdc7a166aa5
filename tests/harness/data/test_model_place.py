"""A model's name that leads to something else is refused in one line, with what to give instead."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import score
from harness.data.families import read_config
from harness.scoring.eval_command import run
from training.config import from_settings
from training.run import train


def by_eval(model: str, name: str, folder: Path) -> None:
    run(["--model", model, "--model_args", f"pretrained={name}", "--tasks", "crows_pairs"])


def by_score(model: str, name: str, folder: Path) -> None:
    score(name, "crows_pairs", data_dir="sample")


def by_training(model: str, name: str, folder: Path) -> None:
    settings = {"model_name_or_path": name, "output_dir": str(folder / "out"), "data_dir": "sample"}
    train(*from_settings(settings))


WAYS: list[tuple[Callable[[str, str, Path], None], str]] = [
    (by_eval, "hf-any"),
    (by_eval, "hf-masked"),
    (by_eval, "hf"),
    (by_score, ""),
    (by_training, ""),
]


@pytest.mark.parametrize(("way", "model"), WAYS)
def test_a_gguf_file_is_told_apart_from_its_folder(
    way: Callable[[str, str, Path], None], model: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=f"a file, expected .*Give pretrained={tmp_path},gguf_file=model.gguf$"):
        way(model, str(file), tmp_path)


@pytest.mark.parametrize(("way", "model"), [way for way in WAYS if way[0] is not by_score])
def test_an_adapter_is_no_model(way: Callable[[str, str, Path], None], model: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "gpt2"}))
    with pytest.raises(ValueError, match=f"an adapter.*Score it with pretrained=gpt2,peft={tmp_path}"):
        way(model, str(tmp_path), tmp_path)


@pytest.mark.parametrize(("way", "model"), WAYS)
def test_a_folder_that_is_not_there_is_named_at_once(
    way: Callable[[str, str, Path], None], model: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=f"{tmp_path}/nowhere: no such folder"):
        way(model, f"{tmp_path}/nowhere", tmp_path)
    assert time.monotonic() - started < 10


def test_what_may_be_a_hub_id_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"pretrained=models/nowhere: no such folder in .*, and as a hub id it gives no"):
        read_config({"pretrained": "models/nowhere"})


@pytest.mark.parametrize(
    ("files", "given", "said"),
    [
        ([], {}, "no config.json, expected a model's folder; it has no .gguf file either"),
        (["a.gguf"], {}, "no config.json, .*it has a.gguf: give gguf_file=a.gguf too"),
        (["a.gguf"], {"gguf_file": "b.gguf"}, "no file b.gguf in this folder; it has a.gguf"),
        ([], {"subfolder": "part"}, "part: no such folder"),
    ],
)
def test_a_folder_without_a_model_says_what_it_lacks(
    files: list[str], given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=said):
        read_config({"pretrained": str(tmp_path), **given})


@pytest.mark.parametrize("model", ["hf-any", "hf"])
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("dtyp=float32", "a model has no argument 'dtyp'; did you mean 'dtype'"),
        ("dtype=float33", "dtype=float33: no precision of that name; did you mean 'float32'"),
    ],
)
def test_a_misspelt_model_argument_is_refused_before_anything_loads(
    model: str, argument: str, said: str, byte_llama: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        by_eval(model, f"{byte_llama},{argument}", byte_llama)
