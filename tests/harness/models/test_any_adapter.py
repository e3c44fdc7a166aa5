"""Whatever lies in an adapter's folder, it is attached or is one ValueError that names the folder or file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from any_file import check_any
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from harness.editing.noise import _scaling
from harness.models.adapters import attach, read_adapter_config
from harness.storage.adapter_files import WEIGHTS_FILE


@pytest.fixture(scope="module")
def base(byte_llama: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(byte_llama)


@pytest.fixture
def adapter(base: PreTrainedModel, tmp_path: Path, byte_llama: Path) -> Path:
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(byte_llama), LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_any_adapter_config_is_attached_or_one_error_and_the_base_stays_as_it_was(
    base: PreTrainedModel, adapter: Path, byte_llama: Path
) -> None:
    before = {name: value.clone() for name, value in base.state_dict().items()}

    def read(file: Path) -> None:
        try:
            attach(base, file.parent, str(byte_llama)).kept.put_back()
        except ValueError as error:
            # What does not fit the base is the adapter's folder's fault, not of one file in it.
            raise ValueError(str(error).replace(f"{file.parent}: ", f"{file}: ")) from error

    file = adapter / "adapter_config.json"
    check_any(read, file, file.read_bytes(), "json", share=0.5)
    after = base.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_any_weights_of_an_adapter_are_attached_or_one_error(
    base: PreTrainedModel, adapter: Path, byte_llama: Path
) -> None:
    def read(file: Path) -> None:
        try:
            attach(base, file.parent, str(byte_llama)).kept.put_back()
        except ValueError as error:
            raise ValueError(str(error).replace(f"{file.parent}: ", f"{file}: ")) from error

    file = adapter / WEIGHTS_FILE
    check_any(read, file, file.read_bytes(), "bytes", share=0.5)


def test_any_adapter_config_that_noise_is_sized_by_is_read_or_one_error(tmp_path: Path) -> None:
    check_any(_scaling, tmp_path / "adapter_config.json", b'{"lora_alpha": 16, "r": 2}', "json")


def test_a_rank_that_no_tensor_has_is_refused_before_memory_is_taken_for_it(
    base: PreTrainedModel, adapter: Path, byte_llama: Path
) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"r": 2', '"r": 2000000000'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"adapter_config\.json: a rank r is 2000000000, and no tensor"):
        attach(base, adapter, str(byte_llama))


def test_a_broken_config_is_named(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": "eight"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"adapter_config\.json: a rank r is 'eight', expected a whole number"):
        read_adapter_config(adapter)
