"""Files are whole or not there; YAML knows its lines; model folders say what they are."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.storage.files import atomic_write, read_yaml
from harness.storage.weights import require_safe_weights, weights_sha256


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write(tmp_path / "report.json", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "report.json", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"


def test_text_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "half"
        raise RuntimeError("model gone")

    atomic_write(tmp_path / "samples.jsonl", "old")
    with pytest.raises(RuntimeError, match="model gone"):
        atomic_write(tmp_path / "samples.jsonl", lines())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("samples.jsonl", "old")]


def test_yaml_keys_know_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("name: a\nmodels:\n  - name: b\n    training: {folds: 2}\n  - name: c\n")
    settings, lines = read_yaml(file)
    assert settings["models"][1] == {"name": "c"}
    assert (lines[("models",)], lines[("models", 0, "training", "folds")], lines[("models", 1)]) == (2, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' stands on line 1 already"),
        ("a: [1\n", "not YAML"),
        ("- 1\n", "expected a mapping"),
    ],
)
def test_yaml_that_is_no_settings_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_yaml(tmp_path / "x.yaml")


def test_weights_must_be_there_and_safe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights here"):
        require_safe_weights(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ValueError, match="only pickled weights"):
        require_safe_weights(str(tmp_path))
    require_safe_weights(str(tmp_path), allow_pickle=True)
    (tmp_path / "model.safetensors").write_bytes(b"tensors")
    require_safe_weights(str(tmp_path))
    with pytest.raises(ValueError, match="not a model folder"):
        require_safe_weights("./nowhere")
    require_safe_weights("gpt2")


def test_a_weights_digest_ignores_what_only_training_needs(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"tensors")
    before = weights_sha256(tmp_path)
    (tmp_path / "optimizer.pt").write_bytes(b"state")
    (tmp_path / "rng_state_0.pth").write_bytes(b"state")
    assert weights_sha256(tmp_path) == before
    (tmp_path / "adapter_model.safetensors").write_bytes(b"others")
    assert weights_sha256(tmp_path) != before
