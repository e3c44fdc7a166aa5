"""The memory that a plan tells, against published totals, what was measured, and what autograd really keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, GPT2Config

from harness.data.families import family
from harness.machine.strategy import Strategy
from harness.models.head import logits_at
from harness.planning.activations import Batch, kept_bytes
from harness.planning.memory import (
    GIB,
    Memory,
    count_parameters,
    empty_model,
    training_memory,
)
from harness.planning.model_shapes import SHAPES, config_of
from training.families import AUTO_CLASSES
from training.objectives import predictions

# Total parameters as their publishers and the hub count them.
PUBLISHED = {
    "bert-base-uncased": 109_514_298,
    "bert-large-uncased": 335_174_458,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "bigscience/bloomz-560m": 559_214_592,
    "bigscience/bloomz-1b1": 1_065_314_304,
    "bigscience/bloomz-1b7": 1_722_408_960,
    "bigscience/bloomz-3b": 3_002_557_440,
    "bigscience/bloomz-7b1": 7_069_016_064,
    "google/flan-t5-small": 76_961_152,
    "google/flan-t5-base": 247_577_856,
    "google/flan-t5-large": 783_150_080,
    "google/flan-t5-xl": 2_849_757_184,
}
SMALL: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0},
    "bert": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4},
    "t5": {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
}
BATCH = Batch(rows=8, tokens=24, decoder_tokens=0, scored=0)


def small(kind: str) -> Any:
    return AutoConfig.for_model(kind, vocab_size=512, **SMALL[kind])


def batch_of(kind: str) -> Batch:
    return BATCH._replace(decoder_tokens=10) if kind == "t5" else BATCH


def adapted(model: Any, lora: bool) -> Any:
    return get_peft_model(model, LoraConfig(r=4, target_modules="all-linear")) if lora else model


def states(memory: Memory) -> int:
    return memory.weights + memory.gradients + memory.optimizer


@pytest.mark.parametrize("hub_id", SHAPES)
def test_shapes_of_hub_models_have_the_published_number_of_parameters(hub_id: str) -> None:
    config = config_of(hub_id)
    assert count_parameters(empty_model(config, family(config))).total == PUBLISHED[hub_id]


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("kind", SMALL)
def test_traced_activations_are_the_bytes_that_autograd_keeps_of_a_real_model(kind: str, lora: bool) -> None:
    config, batch = small(kind), batch_of(kind)
    with torch.device("meta"):
        empty = adapted(empty_model(config, family(config)), lora)
    real = adapted(AUTO_CLASSES[family(config)].from_config(config).train(), lora)
    inputs = {"input_ids": torch.ones(batch.rows, batch.tokens, dtype=torch.long)}
    if batch.decoder_tokens:
        inputs["decoder_input_ids"] = torch.ones(batch.rows, batch.decoder_tokens, dtype=torch.long)
    own = {weight.untyped_storage().data_ptr() for weight in (*real.parameters(), *real.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        real(**inputs)
    expected = sum(storage.nbytes() for storage in kept.values())
    # Constants such as a mask may be shared or not; they are far smaller than any layer's activations.
    assert kept_bytes(empty, batch, Strategy()).plain == pytest.approx(expected, rel=0.01)


def states_of_120_576(strategy: Strategy) -> Memory:
    """A GPT-2 shape whose bytes a rank were measured with DDP, ZeRO-2 and ZeRO-3 on two processes."""
    config = GPT2Config(vocab_size=256, n_positions=64, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    model = empty_model(config, "causal")
    assert count_parameters(model) == (120_576, 120_576, 256 * 64)
    return training_memory(model, BATCH, strategy)


def test_states_of_one_process_and_of_zero_2_are_the_measured_bytes() -> None:
    one, zero_2 = states_of_120_576(Strategy()), states_of_120_576(Strategy(2, 2))
    assert (one.optimizer, one.weights) == (964_608, 482_304)
    assert (zero_2.optimizer - 4 * 120_576 // 2, zero_2.weights) == (482_304, 482_304)  # less its copy of the weights


def test_zero_3_shards_the_weights_and_gathers_what_it_will_need_again_soon() -> None:
    far, near = states_of_120_576(Strategy(2, 3, reuse=10**9)), states_of_120_576(Strategy(2, 3, reuse=20_000))
    assert (far.optimizer, far.weights) == (482_304, 241_152)
    assert far.gathered == 482_304
    largest = 64 * 256 + 256  # of GPT-2's four linear layers, the feed-forward ones
    assert near.gathered == 4 * (10_000 + largest)


def test_two_passes_through_a_model_keep_it_gathered_between_them() -> None:
    def gathered(passes: int, reuse: int) -> int:
        model = empty_model(small("gpt2"), "causal")
        return training_memory(model, BATCH, Strategy(2, 3, reuse=reuse), passes=passes).gathered

    total = count_parameters(empty_model(small("gpt2"), "causal")).total
    assert gathered(1, total) < gathered(2, total) == 4 * total
    assert gathered(2, total - 1) < 4 * total


def test_offload_moves_states_to_the_host_and_leaves_the_device_activations_and_weights() -> None:
    here = states_of_120_576(Strategy(2, 2, "fp16", True))
    away = states_of_120_576(Strategy(2, 2, "fp16", True, offload_optimizer=True))
    assert (away.optimizer, away.gradients, away.weights) == (0, 0, here.weights)
    assert away.host == int(1.5 * 16 * 120_576)
    all_away = states_of_120_576(Strategy(2, 3, "fp16", True, offload_optimizer=True, offload_weights=True))
    assert (all_away.weights, all_away.host) == (0, int(1.5 * 18 * 120_576))


@pytest.mark.parametrize("hub_id", ["gpt2", "bert-base-uncased"])
def test_states_agree_with_deepspeeds_estimators(hub_id: str) -> None:
    """Its estimators count 18 bytes a weight over all GPUs under ZeRO-3; we have 20, of which two are gradients in 16
    bit beside those in 32."""
    zero_2 = pytest.importorskip("deepspeed.runtime.zero.stage_1_and_2")
    zero_3 = pytest.importorskip("deepspeed.runtime.zero.stage3")
    config = config_of(hub_id)
    model = empty_model(config, family(config))
    total = count_parameters(model).total

    def ours(stage: Any, offload: bool) -> Memory:
        on = Strategy(2, stage, "fp16", True, offload_optimizer=offload, offload_weights=offload and stage == 3)
        return training_memory(model, BATCH, on)

    cpu, gpu = zero_2.estimate_zero2_model_states_mem_needs(total, 2, 1, cpu_offload=False)
    assert states(ours(2, False)) == pytest.approx(gpu, rel=0.001)
    cpu, gpu = zero_2.estimate_zero2_model_states_mem_needs(total, 2, 1, cpu_offload=True)
    assert (states(ours(2, True)), ours(2, True).host) == pytest.approx((gpu, cpu), rel=0.001)
    cpu, gpu, _ = zero_3.estimate_zero3_model_states_mem_needs(total, 0, 2, 1, cpu_offload=False)
    assert states(ours(3, False)) == pytest.approx(gpu * 20 / 18, rel=0.001)
    cpu, gpu, _ = zero_3.estimate_zero3_model_states_mem_needs(total, 0, 2, 1, cpu_offload=True)
    assert (states(ours(3, True)), ours(3, True).host) == pytest.approx((gpu, cpu), rel=0.001)


def test_ddp_keeps_a_bucket_beside_every_gradient() -> None:
    ddp = states_of_120_576(Strategy(2))
    one_more = 4 * 256 * 64  # the embeddings' gradient before it joins the tied head's
    assert (ddp.gradients - one_more, ddp.buffers) == (482_304, 482_304)


def test_zero_3_has_two_reduce_buckets_the_second_as_large_as_the_largest_weight() -> None:
    small, large = (states_of_120_576(Strategy(2, 3, "fp16", True, bucket=size)).buffers for size in (1000, 50_000))
    assert (small, large) == (2 * (1000 + 256 * 64), 2 * (50_000 + 50_000))


def test_zero_2_copies_one_ranks_part_of_its_reduce_bucket() -> None:
    small, large = (states_of_120_576(Strategy(2, 2, "fp16", True, bucket=size)).buffers for size in (50_000, 500_000))
    assert (small, large) == (2 * (50_000 + 50_000), 2 * (500_000 + 120_576 // 2))


@pytest.mark.parametrize(
    ("hub_id", "zero_2", "zero_3", "offload", "host", "lora"),
    [
        ("gpt2-xl", 16.0, 13.4, 2.9, 35, 2.9),
        ("bigscience/bloomz-1b7", 17.6, 16.3, 3.2, 38, 3.2),
        ("google/flan-t5-xl", 29.2, 24.1, 5.3, 64, 5.3),
    ],
)
def test_sixteen_bit_states_of_two_gpus_are_deepspeeds_own_estimates(
    hub_id: str, zero_2: float, zero_3: float, offload: float, host: float, lora: float
) -> None:
    """Under ZeRO-3 ours are 2 P / n more (gradients in both types), and it gathers 4 bytes of the largest layer."""
    config = config_of(hub_id)
    tiny = Batch(1, 2, 2 if config.is_encoder_decoder else 0, 0)
    model = empty_model(config, family(config))
    total = count_parameters(model).total

    def on(stage: Any, **offloaded: bool) -> Memory:
        return training_memory(model, tiny, Strategy(2, stage, "fp16", True, **offloaded))

    largest = 4 * max(sum(weight.numel() for weight in part.parameters(recurse=False)) for part in model.modules())
    assert states(on(2)) / GIB == pytest.approx(zero_2, abs=0.06)  # printed with one decimal
    assert (states(on(3)) - total + largest) / GIB == pytest.approx(zero_3, abs=0.06)
    away = on(2, offload_optimizer=True)
    assert (states(away) / GIB, away.host / GIB) == (pytest.approx(offload, abs=0.06), pytest.approx(host, abs=0.6))
    model.requires_grad_(False)
    next(iter(model.parameters())).requires_grad_(True)  # something must be trained
    assert on(2).weights / GIB == pytest.approx(lora, abs=0.05)


def test_half_precision_and_gpu_kernels_keep_fewer_activations() -> None:
    def kept(strategy: Strategy, own_type: bool = False) -> int:
        model = empty_model(small("gpt2"), "causal")
        return kept_bytes(model, BATCH, strategy).plain

    cpu, gpu = kept(Strategy()), kept(Strategy(gpu=True))
    autocast, weights_in_half = kept(Strategy(1, 0, "fp16", True)), kept(Strategy(2, 2, "fp16", True), own_type=True)
    assert weights_in_half < autocast < gpu < cpu
    assert weights_in_half / gpu == pytest.approx(0.5, abs=0.05)


def test_a_layer_under_zero_in_half_takes_what_the_literature_counts() -> None:
    """34 bytes a token and hidden unit (Korthikanti et al. 2023, arXiv 2205.05198), less what GPU attention spares."""
    config = AutoConfig.for_model(
        "bloom", vocab_size=512, hidden_size=512, n_layer=4, n_head=4, hidden_dropout=0.1, attention_dropout=0.1
    )
    model = empty_model(config, "causal").half()
    found = kept_bytes(model, Batch(4, 16, 0, 0), Strategy(2, 2, "fp16", True)).plain
    assert found / (4 * 16 * 512 * 4) == pytest.approx(34, rel=0.15)


def test_activations_and_gradients_count_once_unless_gradients_are_kept() -> None:
    memory = Memory(weights=1, gradients=10, optimizer=2, buffers=3, activations=20, logits=5)
    assert memory.peak == 1 + 2 + 3 + 25
    assert replace(memory, gradients_kept=10).peak == 1 + 2 + 3 + 10 + 25
    assert replace(memory, gathered=7).peak == 1 + 2 + 3 + 7 + 25
    assert replace(memory, gradients=40).peak == 1 + 2 + 3 + 40


@pytest.mark.parametrize("kind", SMALL)
def test_checkpointing_keeps_the_inputs_of_all_layers_and_one_layer(kind: str) -> None:
    """As PyTorch keeps them: what a real pass with checkpointing keeps, and one layer beside it."""
    config, batch = small(kind), batch_of(kind)
    plain, checkpointed = kept_bytes(empty_model(config, family(config)), batch, Strategy())
    config.num_hidden_layers += 2
    if kind == "t5":
        config.num_decoder_layers += 2
    more_plain, more_checkpointed = kept_bytes(empty_model(config, family(config)), batch, Strategy())
    inputs = 2 * batch.rows * (batch.tokens + batch.decoder_tokens) * 64 * 4
    assert more_checkpointed - checkpointed == inputs
    assert more_plain - plain > 8 * inputs
    assert checkpointed < plain


def test_autocast_holds_the_copies_of_trained_weights_whatever_is_checkpointed() -> None:
    def kept(trained: bool) -> int:
        model = empty_model(small("gpt2"), "causal")
        for weight in model.transformer.h.parameters():
            weight.requires_grad_(trained)
        return kept_bytes(model, Batch(2, 2, 0, 0), Strategy(precision="fp16", gpu=True)).checkpointed

    in_layers = 2 * 12 * 64 * 64 * 2  # two layers of 12 hidden**2 weights in their products, two bytes each
    assert kept(True) > in_layers > kept(False) - 2 * 512 * 64


def test_a_frozen_copy_adds_the_weights_once_more() -> None:
    def weights(frozen_copy: bool) -> int:
        return training_memory(empty_model(small("bert"), "masked"), BATCH, Strategy(), frozen_copy=frozen_copy).weights

    assert weights(True) == 2 * weights(False)


def allocated(step: Any) -> Iterator[int]:
    """Bytes that are allocated at each moment of `step()`, beyond those from before it."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        yield held


@pytest.mark.slow
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("kind", SMALL)
def test_the_planned_peak_is_within_15_percent_of_what_a_step_allocates(kind: str, lora: bool) -> None:
    config, batch = small(kind), batch_of(kind)
    places = batch.rows * (batch.decoder_tokens or batch.tokens)
    with torch.device("meta"):
        empty = adapted(empty_model(config, family(config)), lora)
    plan = training_memory(empty, batch._replace(scored=places), Strategy())
    model = adapted(AUTO_CLASSES[family(config)].from_config(config).train(), lora)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    inputs = {"input_ids": torch.ones(batch.rows, batch.tokens, dtype=torch.long)}
    if batch.decoder_tokens:
        inputs["decoder_input_ids"] = torch.ones(batch.rows, batch.decoder_tokens, dtype=torch.long)
    where = torch.ones(batch.rows, places // batch.rows).nonzero().unbind(1)
    target = torch.ones(places, dtype=torch.long)

    def step() -> None:
        logits = logits_at(model, *where, **inputs)
        logprobs, _ = predictions(logits, target)
        loss = -logprobs.sum()
        del logits, logprobs
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    before = sum(4 * weight.numel() for weight in model.parameters()) + sum(8 * weight.numel() for weight in trained)
    measured = before + max(allocated(step))
    assert plan.peak == pytest.approx(measured, rel=0.15)
