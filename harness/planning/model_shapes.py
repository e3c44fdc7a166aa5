"""Architectures of published models by hub id, so that a plan can be made where no hub is reached.

Hyper-parameters only, from each model's public config.json; tests compare the parameter totals with the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def _bert(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "vocab_size": 30522,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 512,
    }


def _gpt2(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": 50257,
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": 1024,
    }


def _bloom(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "bloom",
        "architectures": ["BloomForCausalLM"],
        "vocab_size": 250880,
        "hidden_size": hidden,
        "n_layer": layers,
        "n_head": heads,
    }


def _flan_t5(hidden: int, layers: int, heads: int, feed_forward: int) -> dict[str, Any]:
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "vocab_size": 32128,
        "d_model": hidden,
        "d_kv": 64,
        "d_ff": feed_forward,
        "num_layers": layers,
        "num_decoder_layers": layers,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "decoder_start_token_id": 0,
    }


SHAPES: Mapping[str, Mapping[str, Any]] = {
    "bert-base-uncased": _bert(768, 12, 12),
    "bert-large-uncased": _bert(1024, 24, 16),
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 24, 16),
    "gpt2-large": _gpt2(1280, 36, 20),
    "gpt2-xl": _gpt2(1600, 48, 25),
    "bigscience/bloomz-560m": _bloom(1024, 24, 16),
    "bigscience/bloomz-1b1": _bloom(1536, 24, 16),
    "bigscience/bloomz-1b7": _bloom(2048, 24, 16),
    "bigscience/bloomz-3b": _bloom(2560, 30, 32),
    "bigscience/bloomz-7b1": _bloom(4096, 30, 32),
    "google/flan-t5-small": _flan_t5(512, 8, 6, 1024),
    "google/flan-t5-base": _flan_t5(768, 12, 12, 2048),
    "google/flan-t5-large": _flan_t5(1024, 24, 16, 2816),
    "google/flan-t5-xl": _flan_t5(2048, 24, 32, 5120),
}


def config_of(hub_id: str) -> PretrainedConfig:
    """The config of a model of the table.

    Raises:
        KeyError: the table has no such model.
    """
    from transformers import AutoConfig

    return AutoConfig.for_model(**SHAPES[hub_id])
