"""How much memory fine-tuning takes on each device, from a model without weights: nothing is loaded or run.

Bytes a process for the model's states, P parameters of which t are trained, n processes:

| | weights | gradients | optimizer (AdamW) | buffers |
| --- | --- | --- | --- | --- |
| one process, DDP | 4 P | 4 t | 8 t | DDP's buckets: 4 t |
| ZeRO-2, 16 bit (fp32) | 2 P (4 P) | 6 t / n (8 t / n) | 12 t / n | reduce bucket and a part |
| ZeRO-3, 16 bit (fp32) | 2 P / n (4 P / n) | 6 t / n (4 t / n) | 12 t / n (8 t / n) | 2 reduce buckets, gathered |

The optimizer's 12 are a 32-bit weight and AdamW's two moments; ZeRO-2 makes the former in fp32 too. With their offload,
optimizer and gradients, and under ZeRO-3 the weights, are in the host's memory instead. ZeRO-3 does not let go of a
gathered weight that it will need again soon: at the end of the forward pass it holds those of the last
`stage3_max_reuse_distance` / 2 elements, and between two passes through the model all that fit in that distance.

Sources: Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054, section 3), DeepSpeed's own estimators
(`estimate_zero2_model_states_mem_needs`, `estimate_zero3_...`: 2 P + 18 P / n; 4 x largest layer + 18 P / n; in the
host's memory 16 or 18 P and half as much again) and its `stage_1_and_2.py`, `stage3.py` and
`partitioned_param_coordinator.py`.

Left out: the device's own context (0.3 to 0.5 GiB), fragmentation, and what a layer needs only while it computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.data.families import Family
from harness.machine.strategy import Strategy
from harness.planning.activations import Batch, autocasts, kept_bytes, weights_in_16_bit

if TYPE_CHECKING:
    from transformers import PretrainedConfig

GIB = 1 << 30
HOST_MARGIN = 1.5
"""DeepSpeed's own, for pinned memory comes in larger pieces than are asked for."""


class Parameters(NamedTuple):
    """Of a model; shared weights count once. `largest`: elements of the largest one that is trained."""

    total: int
    trained: int
    largest: int


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what they hold.

    `gradients` are the most there are, when the optimizer steps; `gradients_kept` those of them that are there during
    a forward pass. `buffers` are those of communication between processes, `gathered` whole weights made of ZeRO-3's
    shards, `logits` everything of the vocabulary's size. `host` is what a machine's processes take of its own memory.
    """

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    activations: int
    logits: int
    gradients_kept: int = 0
    gathered: int = 0
    host: int = 0

    @property
    def peak(self) -> int:
        """The most at one time: activations are freed while gradients come to be, so that one of both counts."""
        states = self.weights + self.optimizer + self.buffers
        passing = self.gathered + self.activations + self.logits
        return states + max(self.gradients, self.gradients_kept + passing)


def empty_model(config: PretrainedConfig, family: Family) -> nn.Module:
    """The model on the meta device, in fp32, all weights trained: its shapes without its memory."""
    from training.families import AUTO_CLASSES, has_own_head

    own_head = has_own_head(config)
    if own_head:
        config.tie_word_embeddings = False
    with torch.device("meta"):
        model: Any = AUTO_CLASSES[family].from_config(config, dtype=torch.float32)
    if own_head:
        model.set_input_embeddings(model.shared)
    empty: nn.Module = model.train()
    return empty


def count_parameters(model: nn.Module) -> Parameters:
    """All parameters of the model, those that require a gradient, and the largest of these."""
    trained = [weight.numel() for weight in model.parameters() if weight.requires_grad]
    return Parameters(sum(weight.numel() for weight in model.parameters()), sum(trained), max(trained, default=0))


def training_memory(
    model: nn.Module,
    batch: Batch,
    strategy: Strategy,
    *,
    frozen_copy: bool = False,
    of_logits: int = 2,
    passes: int = 1,
    accumulates: bool = False,
    checkpointing: bool = False,
    beside: Batch | None = None,
) -> Memory:
    """Memory of fine-tuning on one device; formulas at the top of this module.

    Args:
        model: on the meta device, with its adapter and frozen as it will be trained. Under ZeRO in 16 bit it is
            turned into that type.
        frozen_copy: a second model, kept as the first is, that is not trained.
        of_logits: how many tensors of [scored tokens, vocabulary] live at once: the logits of each model, a gradient.
        passes: forward passes through the trained model in a step, of which the last ones keep no activations.
        accumulates: gradients are kept over several batches.
        checkpointing: layers are computed again for the backward pass.
        beside: what else is read before the backward pass of a step's first batch, in a forward pass of its own.
    """
    count = count_parameters(model)
    size = 2 if weights_in_16_bit(strategy) else 4
    weights = _weights(count, strategy, size)
    gradients = _gradients(count, strategy, size)
    read = [batch] if beside is None else [batch, beside]
    kept = [kept_bytes(model, one, strategy) for one in read]
    tied = _tied_embeddings(model) if not strategy.zero_stage else 0
    return Memory(
        weights=weights * (2 if frozen_copy else 1),
        gradients=gradients + tied,
        optimizer=0 if strategy.offload_optimizer else _optimizer(count, strategy, size),
        buffers=_buffers(count, strategy, size),
        activations=sum(one.checkpointed if checkpointing else one.plain for one in kept),
        logits=_logits(model, sum(one.scored for one in read), of_logits, size, autocasts(strategy)),
        gradients_kept=_gradients_kept(count, strategy, size, accumulates),
        gathered=size * _gathered(model, count, strategy, passes),
        host=_host(count, strategy, size, frozen_copy),
    )


def _shards(strategy: Strategy) -> int:
    return strategy.processes if strategy.zero_stage else 1


def _weights(count: Parameters, strategy: Strategy, size: int) -> int:
    if strategy.zero_stage < 3:
        return size * count.total
    return 0 if strategy.offload_weights else size * count.total // strategy.processes


def _optimizer(count: Parameters, strategy: Strategy, size: int) -> int:
    master = strategy.zero_stage == 2 or size == 2
    return (12 if master else 8) * count.trained // _shards(strategy)


def _gradients(count: Parameters, strategy: Strategy, size: int) -> int:
    if strategy.offload_optimizer:
        return 0
    bytes_each = 6 if size == 2 else 8 if strategy.zero_stage == 2 else 4
    return bytes_each * count.trained // _shards(strategy)


def _gradients_kept(count: Parameters, strategy: Strategy, size: int, accumulates: bool) -> int:
    """ZeRO-3 has its shard of them allocated all the time, the others while they accumulate."""
    if strategy.offload_optimizer or not (accumulates or strategy.zero_stage == 3):
        return 0
    return size * count.trained // _shards(strategy)


def _buffers(count: Parameters, strategy: Strategy, size: int) -> int:
    """Of the reduce bucket, which is allocated whole, a CPU's memory holds only what is written.

    What is in it, or a weight that is too large for it, is copied to be sent: under ZeRO-2 one rank's part at a time,
    under ZeRO-3 all of it, sorted by rank, which gloo, on the CPU, adds up in a third place.
    """
    if not strategy.zero_stage:
        return 4 * count.trained if strategy.processes > 1 else 0
    filled = min(strategy.bucket, count.trained)
    sent_at_once = min(max(strategy.bucket, count.largest), count.trained)
    if strategy.zero_stage == 2:
        copied = min(sent_at_once, count.trained // strategy.processes)
    else:
        copied = sent_at_once if strategy.gpu else 2 * sent_at_once
    return size * ((strategy.bucket if strategy.gpu else filled) + copied)


def _gathered(model: nn.Module, count: Parameters, strategy: Strategy, passes: int) -> int:
    """Elements of the weights that ZeRO-3 has whole when the forward pass has ended."""
    if strategy.zero_stage < 3:
        return 0
    if passes > 1 and count.total <= strategy.reuse:
        return count.total
    return min(count.total, strategy.reuse // 2 + _largest_layer(model))


def _largest_layer(model: nn.Module) -> int:
    return max(sum(weight.numel() for weight in module.parameters(recurse=False)) for module in model.modules())


def _host(count: Parameters, strategy: Strategy, size: int, frozen_copy: bool) -> int:
    """Of one machine: whole models while they are loaded, in fp32 by every process; under ZeRO-3 in shards."""
    processes = strategy.processes // strategy.machines
    loaded = 4 * count.total * (2 if frozen_copy else 1)
    if strategy.zero_stage < 3:
        loaded *= processes
    if not strategy.gpu:
        return 0
    held = (16 * count.trained if strategy.offload_optimizer else 0) // strategy.machines
    held += (size * count.total if strategy.offload_weights else 0) // strategy.machines
    return max(loaded, int(HOST_MARGIN * held))


def _tied_embeddings(model: nn.Module) -> int:
    """The last gradient to come is that of the embeddings, which is whole before it is added to the tied head's."""
    head, embeddings = _head(model), model.get_input_embeddings().weight  # type: ignore[operator]
    return 4 * head.numel() if head is embeddings and head.requires_grad else 0


def _head(model: nn.Module) -> Tensor:
    weight: Tensor = model.get_output_embeddings().weight  # type: ignore[operator]
    return weight


def _logits(model: nn.Module, scored: int, of_logits: int, size: int, autocast: bool) -> int:
    """What is [scored tokens, V] large; under autocast in fp32, and the gradient once more in 16 bit.

    A trained vocabulary head's gradient comes with the first step back, while all activations are still there.
    """
    head = _head(model)
    own = size * head.numel() if head.requires_grad else 0
    return head.shape[0] * scored * (size * of_logits + 2 * autocast) + own
