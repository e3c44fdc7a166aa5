"""What the backward pass will need of a forward pass, found by a pass that computes nothing.

A model on torch's meta device has shapes and no data: every tensor that autograd would keep is noted and counted.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from harness.machine.strategy import Strategy
from harness.planning.kernels import Autocast, GpuKernels

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FEW, _MORE = 2, 4


class Batch(NamedTuple):
    """The largest step of one process: texts, tokens of each (and of the decoder's), predictions that are scored."""

    rows: int
    tokens: int
    decoder_tokens: int
    scored: int


class Kept(NamedTuple):
    """Bytes kept for the backward pass: of all layers, and where layers are computed again (checkpointing)."""

    plain: int
    checkpointed: int


def weights_in_16_bit(strategy: Strategy) -> bool:
    """Whether the weights themselves are of 16 bit; by autocast they are not."""
    return strategy.zero_stage > 0 and strategy.precision != "fp32"


def autocasts(strategy: Strategy) -> bool:
    """Whether products are worked out in 16 bit, by weights that are not."""
    return strategy.precision != "fp32" and not weights_in_16_bit(strategy)


def kept_bytes(model: nn.Module, batch: Batch, strategy: Strategy) -> Kept:
    """Bytes that autograd keeps from a forward pass for the backward pass, parameters not counted.

    Every storage counts once, however many operations keep it. The pass follows what the device does: GPU kernels keep
    dropout masks as bytes and no attention matrix, and autocast keeps 16-bit copies of weights and inputs. With
    checkpointing (Chen et al. 2016, arXiv 1604.06174) it is every layer's input, what is outside the layers, and one
    layer at a time; the copies that autocast makes of trained weights stay until the forward pass has ended.

    Args:
        model: on the meta device; under ZeRO in 16 bit it is turned into that type, else into fp32.
    """
    model.to(TYPES[strategy.precision] if weights_in_16_bit(strategy) else torch.float32)
    autocast = TYPES[strategy.precision] if autocasts(strategy) else None
    trained = sum(weight.requires_grad for weight in model.parameters())
    trace = partial(_traced, model, trained, batch.tokens, batch.decoder_tokens, weights_in_16_bit(strategy))
    few, more = (trace(autocast, strategy.gpu, rows) for rows in (_FEW, _MORE))
    # All but constants (weights' copies, masks) grows with the texts.
    return Kept(
        *(low + (high - low) * (batch.rows - _FEW) // (_MORE - _FEW) for low, high in zip(few, more, strict=True))
    )


@lru_cache(maxsize=32)
def _traced(
    model: nn.Module,
    trained: int,
    tokens: int,
    decoder_tokens: int,
    in_16_bit: bool,
    autocast: torch.dtype | None,
    gpu: bool,
    rows: int,
) -> Kept:
    """One pass; `trained` and `in_16_bit` tell states of one model apart."""
    seen = _Seen(model)
    inputs = {"input_ids": torch.zeros(rows, tokens, dtype=torch.long, device="meta")}
    if decoder_tokens:
        inputs["decoder_input_ids"] = torch.zeros(rows, decoder_tokens, dtype=torch.long, device="meta")
    copies = Autocast(autocast) if autocast is not None else None
    with ExitStack() as modes:
        if gpu:
            modes.enter_context(GpuKernels())
        if copies is not None:
            modes.enter_context(copies)
        modes.enter_context(torch.autograd.graph.saved_tensors_hooks(seen.note, lambda tensor: tensor))
        for hook in seen.hooks():
            modes.callback(hook.remove)
        model(**inputs)
    return seen.kept(0 if copies is None else copies.of_trained_weights())


class _Seen:
    """The tensors that autograd keeps, by the layer in which it first did."""

    OUTSIDE = -1

    def __init__(self, model: nn.Module) -> None:
        self.own = {weight.untyped_storage()._cdata for weight in (*model.parameters(), *model.buffers())}
        self.layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        self.where = self.OUTSIDE
        self.storages: dict[int, tuple[torch.UntypedStorage, int]] = {}
        self.inputs = 0

    def note(self, tensor: Tensor) -> Tensor:
        """Called by autograd with each tensor that it keeps."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.own:
            self.storages.setdefault(storage._cdata, (storage, self.where))
        return tensor

    def hooks(self) -> list[Any]:
        """Handles of what tells where the pass is."""
        handles: list[Any] = []
        for number, layer in enumerate(self.layers):
            handles.append(layer.register_forward_pre_hook(partial(self._enter, number)))
            handles.append(layer.register_forward_hook(self._leave))
        return handles

    def _enter(self, number: int, layer: nn.Module, given: tuple[Any, ...]) -> None:
        self.where = number
        self.inputs += sum(one.nbytes for one in given[:1] if isinstance(one, Tensor))

    def _leave(self, layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        self.where = self.OUTSIDE

    def kept(self, trained_copies: int) -> Kept:
        """The sums, once the pass has ended."""
        sizes = [0] * (len(self.layers) + 1)
        for storage, where in self.storages.values():
            sizes[where] += storage.nbytes()
        outside = sizes.pop()
        again = max(max(sizes, default=0), trained_copies)
        return Kept(outside + sum(sizes), outside + self.inputs + again if self.layers else outside)
