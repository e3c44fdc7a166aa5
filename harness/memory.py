"""How much memory fine-tuning takes on each device, from a model without weights: nothing is loaded or run.

A model on torch's meta device has shapes and no data. Its parameters are counted; what its backward pass will need is
found by a forward pass that computes nothing, noting every tensor that autograd would keep.

Bytes a process for the model's states, P parameters of which t are trained, n processes:

| | weights | gradients | optimizer (AdamW) | buffers |
| --- | --- | --- | --- | --- |
| one process, DDP | 4 P | 4 t | 8 t | DDP's buckets: 4 t |
| ZeRO-2, 16 bit | 2 P | 6 t / n | 12 t / n | 2 x reduce bucket |
| ZeRO-3, 16 bit | 2 P / n + 4 x largest layer | 4 t / n | 12 t / n | 2 x reduce bucket |

Sources: Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054, section 3) and DeepSpeed's own estimators
(`estimate_zero2_model_states_mem_needs`: 2 P + 18 P / n; `estimate_zero3_...`: 4 x largest layer + 18 P / n). The
optimizer's 12 are a 32-bit weight and AdamW's two moments. Under ZeRO in fp32 a weight is 4 bytes and has no second
copy: 4 t / n for gradients, 8 t / n for the optimizer.

Left out: the device's own context (0.3 to 0.5 GiB), fragmentation, and what a layer needs only while it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from harness.data.families import Family
from harness.strategy import Strategy

if TYPE_CHECKING:
    from transformers import PretrainedConfig

GIB = 1 << 30


class Batch(NamedTuple):
    """The largest step of one process: texts, tokens of each (and of the decoder's), predictions that are scored."""

    rows: int
    tokens: int
    decoder_tokens: int
    scored: int


class Parameters(NamedTuple):
    """Of a model; shared weights count once."""

    total: int
    trained: int


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what they hold.

    `buffers` are those of communication between processes, `logits` everything of the vocabulary's size.
    """

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    activations: int
    logits: int
    gradients_stay: bool = False

    @property
    def peak(self) -> int:
        """The most at one time.

        Activations are freed while gradients come to be, so that only the larger of both counts, unless gradients stay
        from one batch to the next (accumulation).
        """
        states = self.weights + self.optimizer + self.buffers
        passing = self.activations + self.logits
        return states + (self.gradients + passing if self.gradients_stay else max(self.gradients, passing))


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
    """All parameters of the model and those that require a gradient."""
    weights = list(model.parameters())
    return Parameters(
        sum(weight.numel() for weight in weights), sum(weight.numel() for weight in weights if weight.requires_grad)
    )


def training_memory(
    model: nn.Module,
    batch: Batch,
    strategy: Strategy,
    *,
    frozen_copy: bool = False,
    distributions: int = 2,
    accumulates: bool = False,
    checkpointing: bool = False,
) -> Memory:
    """Memory of fine-tuning on one device; formulas at the top of this module.

    Args:
        model: on the meta device, with its adapter and frozen as it will be trained. Under ZeRO in 16 bit it is
            turned into that type.
        frozen_copy: a second model, in fp32, that is not trained.
        distributions: how many log-probability distributions over the vocabulary, one a scored token, live at once.
        accumulates: gradients are kept over several batches.
        checkpointing: layers are computed again for the backward pass.
    """
    total, trained = count_parameters(model)
    own_type = strategy.zero_stage > 0 and strategy.precision != "fp32"
    if own_type:
        model = model.to(_TYPES[strategy.precision])
    size, shards = 2 if own_type else 4, strategy.processes if strategy.zero_stage else 1
    weights = size * total
    if strategy.zero_stage == 3:
        weights = size * total // strategy.processes + 4 * _largest_layer(model)
    buckets = 4 * trained if strategy.processes > 1 and not strategy.zero_stage else 0
    activations = activation_bytes(model, batch, strategy)
    if checkpointing:
        activations = _checkpointed(activations, model, batch, size)
    return Memory(
        weights=weights + (4 * total if frozen_copy else 0),
        gradients=(6 if own_type and strategy.zero_stage == 2 else 4) * trained // shards,
        optimizer=(12 if own_type else 8) * trained // shards,
        buffers=buckets + size * strategy.bucket,
        activations=activations,
        logits=_logits(model, batch, strategy, distributions),
        gradients_stay=accumulates,
    )


def activation_bytes(model: nn.Module, batch: Batch, strategy: Strategy) -> int:
    """Bytes that autograd keeps from a forward pass for the backward pass, parameters not counted.

    Every storage counts once, however many operations keep it. The pass follows what the device does: GPU kernels keep
    dropout masks as bytes and no attention matrix, and autocast keeps 16-bit copies of weights and inputs.
    """
    own = {weight.untyped_storage()._cdata for weight in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    inputs = {"input_ids": torch.zeros(batch.rows, batch.tokens, dtype=torch.long, device="meta")}
    if batch.decoder_tokens:
        inputs["decoder_input_ids"] = torch.zeros(batch.rows, batch.decoder_tokens, dtype=torch.long, device="meta")
    with ExitStack() as modes:
        if strategy.gpu:
            modes.enter_context(_GpuKernels())
        if strategy.precision != "fp32" and not strategy.zero_stage:
            modes.enter_context(_Autocast(_TYPES[strategy.precision]))
        modes.enter_context(torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor))
        model(**inputs)
    return sum(storage.nbytes() for storage in kept.values())


_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class _GpuKernels(TorchFunctionMode):
    """Dropout and attention as their GPU kernels do them: what these keep differs from what the CPU's keep."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.dropout:
            return _dropout(*args, **given)
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **given)
        return func(*args, **given)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, training)[0] if training and p > 0 else input


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key, value = (part.repeat_interleave(query.size(1) // part.size(1), 1) for part in (key, value))
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    output: Tensor = attend(query, key, value, None, True, dropout_p, is_causal, scale=scale)[0]
    return output


class _Autocast(TorchFunctionMode):
    """CUDA autocast's rules, which torch has for no meta device: products in 16 bit, sensitive operations in fp32.

    Source: the op lists of torch's automatic mixed precision documentation, as far as language models use them.
    """

    IN_16_BIT = ("linear", "matmul", "__matmul__", "addmm", "bmm", "baddbmm", "mm", "scaled_dot_product_attention")
    IN_FP32 = ("layer_norm", "softmax", "log_softmax", "pow", "__pow__", "exp", "rsqrt", "sum", "cumsum", "norm")

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.copies: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, given = getattr(func, "__name__", ""), kwargs or {}
        if name not in self.IN_16_BIT + self.IN_FP32:
            return func(*args, **given)
        target = self.dtype if name in self.IN_16_BIT else torch.float32
        return func(
            *(self._cast(value, target) for value in args),
            **{key: self._cast(value, target) for key, value in given.items()},
        )

    def _cast(self, value: Any, target: torch.dtype) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == target:
            return value
        if not isinstance(value, nn.Parameter):
            return value.to(target)
        if id(value) not in self.copies:
            self.copies[id(value)] = value.to(target)
        return self.copies[id(value)]


def _largest_layer(model: nn.Module) -> int:
    return max(sum(weight.numel() for weight in module.parameters(recurse=False)) for module in model.modules())


def _checkpointed(activations: int, model: nn.Module, batch: Batch, size: int) -> int:
    """One layer's activations at a time, and the input of every layer (Chen et al. 2016, arXiv 1604.06174)."""
    config: Any = model.config
    decoder_layers = int(getattr(config, "num_decoder_layers", 0)) if batch.decoder_tokens else 0
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
    places = batch.tokens * layers + batch.decoder_tokens * decoder_layers
    return activations // (layers + decoder_layers) + batch.rows * places * hidden * size


def _logits(model: nn.Module, batch: Batch, strategy: Strategy, distributions: int) -> int:
    """The logits of all texts or their gradient, and fp32 distributions at the scored tokens, [rows, tokens, V] each.

    A trained vocabulary head's gradient comes with the first step back, while all activations are still there. Under
    ZeRO it is reduced at once, through the bucket.
    """
    head: Tensor = model.get_output_embeddings().weight  # type: ignore[operator]
    vocabulary = head.shape[0]
    places = batch.rows * (batch.decoder_tokens or batch.tokens)
    own = 4 * head.numel() if head.requires_grad and not strategy.zero_stage else 0
    return 4 * vocabulary * (places + distributions * batch.scored) + own
