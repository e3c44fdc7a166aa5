"""A caller's own model while it is scored: what is known of it without files, and that it is given back as it was."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto import modeling_auto as auto

from harness.data.in_memory import InMemory, holding

NO_NAME = "in memory"
_LANGUAGE_MODELS = frozenset(
    name
    for mapping in (
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )
    for name in mapping.values()
)


@contextmanager
def borrowed(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Inside, the name that is yielded means this model wherever a folder or hub id is asked for.

    It stays where it is and in its precision. Afterwards its modules train or not as before, its generation config is
    the old one, and nothing was tied; the tokenizer is never touched, a copy of it is used.

    Raises:
        ValueError: a model without a vocabulary head, or with an adapter that is no part of its layers.
    """
    config = _config_of(model)
    name = str(config.name_or_path or NO_NAME)
    modes = [(module, module.training) for module in model.modules()]
    whole = _whole(model)
    generation_config = copy.deepcopy(whole.generation_config) if whole.can_generate() else None
    # lm-eval ties weights anew and warns that several processes were a bad idea; there is one.
    model.tie_weights = _nothing
    logger = logging.getLogger("lm_eval.models.huggingface")
    logger.addFilter(_is_about_files)
    try:
        with holding(name, InMemory(model, config, copy.deepcopy(tokenizer))):
            yield name
    finally:
        logger.removeFilter(_is_about_files)
        del model.tie_weights
        if generation_config is not None:
            whole.generation_config = generation_config
        for module, training in modes:
            module.training = training


def tensors_sha256(model: nn.Module) -> str:
    """Digest of all parameters and buffers that a checkpoint would hold, and of which adapters are at work, and how.

    The same weights give the same digest in any process, but never that of the files they came from.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    for name, layer in _adapted_layers(model):
        at_work = [] if layer.disable_adapters else layer.active_adapters
        scaling = {adapter: getattr(layer, "scaling", {}).get(adapter) for adapter in at_work}
        digest.update(f"{name}:{json.dumps(scaling)}:{layer.merged_adapters}\n".encode())
    return digest.hexdigest()


def base_parameters(model: nn.Module) -> int:
    """Number of parameters without those of adapters."""
    added = {
        id(weight)
        for _, layer in _adapted_layers(model)
        for name in layer.adapter_layer_names
        for weight in getattr(layer, name).parameters()
    }
    return sum(weight.numel() for weight in model.parameters() if id(weight) not in added)


def _config_of(model: PreTrainedModel | PeftModel) -> PretrainedConfig:
    """The model's config with the class that it really is: a config made by hand names none, or that of its origin."""
    whole = _whole(model)
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        raise ValueError(
            f"{model.peft_type} adapters put words before a text instead of changing the model's layers; they cannot "
            "be scored here. LoRA and its kin can"
        )
    known = [kind.__name__ for kind in type(whole).__mro__ if kind.__name__ in _LANGUAGE_MODELS]
    if not known:
        raise ValueError(
            f"{type(whole).__name__} is no language model with a vocabulary head. Load it with AutoModelForCausalLM, "
            "AutoModelForMaskedLM or AutoModelForSeq2SeqLM"
        )
    config = copy.deepcopy(whole.config)
    config.architectures = known[:1]
    return config


def _whole(model: PreTrainedModel | PeftModel) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _adapted_layers(model: nn.Module) -> list[tuple[str, Any]]:
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)]


def _is_about_files(record: logging.LogRecord) -> bool:
    told = str(record.msg)
    return "`pretrained` model kwarg is not of type `str`" not in told and "already-initialized model" not in told


def _nothing(*_: object, **__: object) -> None:
    """In place of `tie_weights`."""
