"""A misspelt model argument is refused by name, and none that a class takes is taken for one."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from lm_eval.models.huggingface import HFLM
from transformers import AutoConfig

from harness.models.arguments import OF_CLASSES, require_known_arguments
from harness.models.base import TransformersLM
from harness.models.causal import CausalLM


def test_every_argument_of_the_classes_is_known() -> None:
    classes = (HFLM, TransformersLM, CausalLM)
    taken = {name for one in classes for name in inspect.signature(one.__init__).parameters}
    assert taken - {"self", "kwargs"} == set(OF_CLASSES)


def test_a_value_of_the_models_config_may_be_changed(byte_llama: Path) -> None:
    require_known_arguments(["pretrained", "attn_implementation", "use_cache"], AutoConfig.from_pretrained(byte_llama))


def test_a_misspelt_argument_is_refused_with_the_nearest_one_and_loads_nothing(byte_llama: Path) -> None:
    with pytest.raises(ValueError, match=r"a model has no argument 'prefix_token'; did you mean 'prefix_token_id'\?"):
        CausalLM(str(byte_llama), prefix_token=3)
