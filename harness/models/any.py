"""`hf-any`: the model class of this project that a checkpoint's config asks for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lm_eval.api.registry import register_model
from lm_eval.utils import simple_parse_args_string

from harness.data.families import Family, family_of
from harness.models.base import TransformersLM
from harness.models.causal import CausalLM
from harness.models.masked import MaskedLM
from harness.models.seq2seq import Seq2SeqLM

log = logging.getLogger(__name__)

MODEL_CLASSES: Mapping[Family, type[TransformersLM]] = {
    "causal": CausalLM,
    "masked": MaskedLM,
    "seq2seq": Seq2SeqLM,
}


def load_lm(pretrained: str, **model_args: Any) -> TransformersLM:
    """The model as `hf-causal`, `hf-masked` or `hf-seq2seq`, whichever its config says; logs which.

    Raises:
        ValueError: what the class itself refuses.
    """
    kind = family_of({"pretrained": pretrained, **model_args})
    log.info("%s is a %s language model: scored as hf-%s", pretrained, kind, kind)
    return MODEL_CLASSES[kind](pretrained, **model_args)


@register_model("hf-any")
class AnyLM(TransformersLM):
    """What lm-eval makes of `--model hf-any`: an object of the class that fits, never of this one."""

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> Any:
        """lm-eval's constructor from parsed arguments; `additional_config` holds batch size and device."""
        given = {key: value for key, value in (additional_config or {}).items() if value is not None}
        if not arg_dict.get("pretrained"):
            raise ValueError("hf-any: which model? --model_args pretrained=MODEL, a folder or a hub id")
        return load_lm(**(arg_dict | given))

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> Any:
        """lm-eval's constructor from `--model_args` as it was typed."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)
