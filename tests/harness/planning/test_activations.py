"""A plan passes through a model's first layers alone: what all of them keep follows exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BertConfig, BloomConfig, Gemma3TextConfig, GPT2Config, T5Config
from transformers.modeling_layers import GradientCheckpointingLayer

from harness.data.families import Family
from harness.machine.strategy import Strategy
from harness.planning import activations
from harness.planning.activations import Batch, kept_bytes
from harness.planning.plan import model_to_train, pair_arguments

CONFIGS: dict[Family, Any] = {
    "causal": GPT2Config(n_embd=32, n_layer=6, n_head=2),
    "masked": BertConfig(hidden_size=32, num_hidden_layers=5, num_attention_heads=2, intermediate_size=48),
    "seq2seq": T5Config(d_model=32, d_kv=16, d_ff=48, num_layers=4, num_heads=2, decoder_start_token_id=0),
}
STRATEGIES = [
    Strategy(),
    Strategy(gpu=True, precision="fp16"),
    Strategy(gpu=True, precision="fp16", zero_stage=2),
]


def batch(kind: Family) -> Batch:
    return Batch(6, 20, 9 if kind == "seq2seq" else 0, 60)


def in_full(monkeypatch: pytest.MonkeyPatch, *asked: Any) -> activations.Kept:
    with monkeypatch.context() as patch:
        patch.setattr(activations, "_stacks", lambda model: [])
        activations._kept_of.cache_clear()
        found = kept_bytes(*asked)
    activations._kept_of.cache_clear()
    return found


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", list(CONFIGS))
def test_the_first_layers_tell_what_a_pass_through_all_of_them_keeps(
    monkeypatch: pytest.MonkeyPatch, kind: Family, full: bool, strategy: Strategy
) -> None:
    model = model_to_train(CONFIGS[kind], kind, pair_arguments("a model", {"full": full}))
    assert activations._stacks(model)
    asked = (model, batch(kind), strategy)
    whole = in_full(monkeypatch, *asked)
    passes: list[int] = []
    layer = next(module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
    hook = type(layer).forward
    monkeypatch.setattr(type(layer), "forward", lambda *given, **named: passes.append(1) or hook(*given, **named))
    assert kept_bytes(*asked) == whole
    # Two numbers of texts, each through two layers and through three, of T5 in both halves.
    assert len(passes) == 2 * (2 + 3) * (2 if kind == "seq2seq" else 1)


@pytest.mark.parametrize(
    "config",
    [
        Gemma3TextConfig(
            hidden_size=32,
            num_hidden_layers=7,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            intermediate_size=48,
            vocab_size=300,
        ),
        BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=300),
    ],
    ids=["layers of two kinds", "two layers"],
)
def test_layers_that_differ_and_few_of_them_are_all_passed_through(
    monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    model = model_to_train(config, "causal", pair_arguments("a model", {}))
    asked = (model, batch("causal"), Strategy())
    whole = in_full(monkeypatch, *asked)
    assert kept_bytes(*asked) == whole
    assert all(weight.device == torch.device("meta") for weight in model.parameters())


def test_a_layer_of_another_size_is_noticed() -> None:
    model = model_to_train(CONFIGS["causal"], "causal", pair_arguments("a model", {"full": True}))
    (stack,) = activations._stacks(model)
    stack[4].mlp.c_fc.weight = torch.nn.Parameter(torch.empty(32, 64, device="meta"))
    assert activations._stacks(model) == []
