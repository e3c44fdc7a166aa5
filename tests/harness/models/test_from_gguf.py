"""GGUF files as folders: the same logits, ties and tokens, licences beside them; anything else refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_gguf import tiny_gguf
from typer.testing import CliRunner

from harness.cli import app
from harness.models import from_gguf
from harness.models.any import load_lm
from harness.models.from_gguf import write_gguf

pytest.importorskip("gguf", reason="needs gguf: pip install 'lm-stereoscope[demo]'")


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_the_folder_has_the_logits_and_the_ties_of_the_file(tied: bool, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    file = tiny_gguf(tmp_path / "tiny.gguf", tied)
    (tmp_path / "LICENSE").write_text("as is")
    (tmp_path / "Gemma-Terms-of-Use.txt").write_text("as they say")
    (tmp_path / "diary.txt").write_text("private")
    folder = write_gguf(file, tmp_path / "models" / "tiny")
    read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name)
    lm = load_lm(str(folder))
    ids = torch.arange(10)[None]
    torch.testing.assert_close(lm.whole_model(input_ids=ids).logits, read(input_ids=ids).logits, atol=1e-6, rtol=0)
    head, embeddings = lm.whole_model.get_output_embeddings(), lm.whole_model.get_input_embeddings()
    assert (head.weight is embeddings.weight) is tied
    assert lm.tokenizer.convert_ids_to_tokens(lm.tokenizer("the")["input_ids"])[-1] == "the"
    licences = {"LICENSE", "Gemma-Terms-of-Use.txt"}
    assert {file.name for file in folder.iterdir()} >= licences | {"config.json", "model.safetensors", "tokenizer.json"}
    assert not (folder / "diary.txt").exists()
    assert not list(folder.glob("*.gguf"))


def test_an_architecture_that_is_not_read_is_named_with_those_that_are(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf", architecture="plamo")
    with pytest.raises(ValueError, match=r"tiny.gguf: its architecture is 'plamo', .* it reads .*gemma3.*llama"):
        write_gguf(file, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a model", "does not begin as a GGUF file does"), (b"GGUF\x03\x00\x00\x00junk", "a broken GGUF file")],
)
def test_what_is_no_gguf_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        write_gguf(file, tmp_path / "folder")
    with pytest.raises(ValueError, match="no such file"):
        write_gguf(tmp_path / "none.gguf", tmp_path / "folder")


def test_a_folder_that_comes_out_otherwise_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    calls: list[Any] = []

    def drifting(model: Any) -> Any:
        calls.append(model)
        return torch.full((1, 1), float(len(calls)))

    monkeypatch.setattr(from_gguf, "_logits", drifting)
    with pytest.raises(RuntimeError, match="another model came of it: its logits changed"):
        write_gguf(file, tmp_path / "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["tiny.gguf"]


def test_the_command_writes_it_and_names_the_models_that_there_are(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    outcome = CliRunner().invoke(app, ["model", "from-gguf", str(file), str(tmp_path / "folder")])
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "folder" / "model.safetensors").is_file()
    outcome = CliRunner().invoke(app, ["model", "from-ggfu", str(file), str(tmp_path / "folder")])
    assert outcome.exit_code == 2
