"""Dropout, raised while a model is fine-tuned on text (Webster et al. 2020, arXiv 2010.06032), and then as it was.

Rates of GPT-2, BERT, RoBERTa and ALBERT are those of Meade et al. 2022; other causal models and encoder-decoders get
those of GPT-2, other masked models those of BERT. What a model's config has no name for stays without dropout: Llama
and its kin drop attention weights alone. (`lora_dropout` is another thing: it drops what an adapter reads, not what the
model computes, and stays what it is set to.) A rate that is higher already is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from harness.data.families import family
from training.pair_arguments import PairArguments

HIDDEN = (
    *("resid_pdrop", "embd_pdrop", "resid_dropout", "embed_dropout", "hidden_dropout_prob", "hidden_dropout"),
    *("dropout_rate", "dropout", "embedding_dropout", "mlp_dropout"),
)
"""Names that configs have for the dropout of hidden states."""

ATTENTION = ("attn_pdrop", "attention_probs_dropout_prob", "attention_dropout")
"""Names that configs have for the dropout of attention weights."""

CAUSAL, MASKED_HIDDEN, MASKED_ATTENTION, ALBERT = 0.15, 0.20, 0.15, 0.05


def raised(config: PreTrainedConfig) -> dict[str, float]:
    """The dropout rates of a config, by name, as they are in training.

    Raises:
        ValueError: the config has none.
    """
    inner = config.get_text_config()
    rates = {name: _rate(config, name) for name in (*HIDDEN, *ATTENTION) if getattr(inner, name, None) is not None}
    if not rates:
        raise ValueError(
            f"objective=dropout: the config of a {config.model_type} model has no dropout that could be raised "
            f"({', '.join(ATTENTION)}, ...); take objective=cda"
        )
    return {name: max(rate, float(getattr(inner, name))) for name, rate in rates.items()}


def _rate(config: PreTrainedConfig, name: str) -> float:
    if config.model_type == "albert":
        return ALBERT
    if family(config) == "masked":
        return MASKED_ATTENTION if name in ATTENTION else MASKED_HIDDEN
    return CAUSAL


def raise_dropout(config: PreTrainedConfig) -> None:
    """Set a config's rates to those of training, before a model is made of it.

    Raises:
        ValueError: as `raised`.
    """
    _set(config, raised(config))


def require_drops(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> None:
    """Refuse a model on whose answers its config's dropout has no effect.

    Raises:
        ValueError: in training it says the same twice.
    """
    training = model.training
    model.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, other = (model(**inputs).logits for _ in range(2))
    model.train(training)
    if torch.equal(one, other):
        rates = ", ".join(f"{name}={rate:g}" for name, rate in raised(model.config).items())
        raise ValueError(
            f"objective=dropout: a {model.config.model_type} model does not heed the dropout of its config ({rates}); "
            "take objective=cda"
        )


@contextmanager
def dropout_as_loaded(model: Any, arguments: PairArguments) -> Iterator[None]:
    """What is saved inside has the dropout of the model's own folder in its config."""
    if arguments.objective != "dropout":
        yield
        return
    in_training = raised(model.config)
    loaded = AutoConfig.from_pretrained(arguments.model_name_or_path).get_text_config()
    _set(model.config, {name: getattr(loaded, name) for name in in_training})
    try:
        yield
    finally:
        _set(model.config, in_training)


def _set(config: PreTrainedConfig, rates: Mapping[str, float]) -> None:
    inner = config.get_text_config()
    for name, rate in rates.items():
        setattr(inner, name, rate)
