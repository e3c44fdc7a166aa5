"""What the backward pass will need of a forward pass, found by a pass that computes nothing.

A model on torch's meta device has shapes and no data: every tensor that autograd would keep is noted and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from harness.machine.strategy import Strategy
from harness.planning.kernels import Autocast, GpuKernels

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FEW, _MORE = 2, 4
_SOME = 3
"""Layers of a pass that the others are reckoned from, and by one fewer."""


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
    trace = partial(_kept_of, model, trained, batch.tokens, batch.decoder_tokens, weights_in_16_bit(strategy))
    few, more = (trace(autocast, strategy.gpu, rows) for rows in (_FEW, _MORE))
    # All but constants (weights' copies, masks) grows with the texts.
    return Kept(
        *(low + (high - low) * (batch.rows - _FEW) // (_MORE - _FEW) for low, high in zip(few, more, strict=True))
    )


class _Parts(NamedTuple):
    """Bytes kept: of all, of what is outside the layers, of the layers' inputs, and of copies of trained weights.

    `layer` is the most that one layer keeps, and 0 of a model without layers that can be computed again.
    """

    plain: int
    outside: int
    inputs: int
    copies: int
    layer: int


@lru_cache(maxsize=32)
def _kept_of(model: nn.Module, *asked: Any) -> Kept:
    """What a pass through all layers keeps, from passes through the first few where all are alike."""
    stacks = _stacks(model)
    if stacks and len({len(stack) for stack in stacks}) == 1 and (layers := len(stacks[0])) > _SOME:
        fewer, some = (_traced(model, stacks, count, *asked) for count in (_SOME - 1, _SOME))
        plain, outside, inputs, copies, _ = (
            low + (high - low) * (layers - _SOME + 1) for low, high in zip(fewer, some, strict=True)
        )
        parts = _Parts(plain, outside, inputs, copies, some.layer)
    else:
        parts = _traced(model, (), 0, *asked)
    if not parts.layer:
        return Kept(parts.plain, parts.outside)
    return Kept(parts.plain, parts.outside + parts.inputs + max(parts.layer, parts.copies))


def _stacks(model: nn.Module) -> list[nn.ModuleList]:
    """The model's stacks of layers; none if the layers of one differ in shape or in kind."""
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and all(isinstance(layer, GradientCheckpointingLayer) for layer in module)
    ]
    # The first two differ in T5, whose first layer alone has the table of relative positions.
    alike = all(len({_shape(layer) for layer in stack[1:]}) <= 1 for stack in map(list, found))
    config = getattr(model, "config", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    return [stack for stack in found if len(stack)] if alike and len(kinds) <= 1 else []


def _shape(layer: nn.Module) -> tuple[Any, ...]:
    weights = tuple((name, tuple(one.shape), one.requires_grad) for name, one in layer.named_parameters())
    return (type(layer), weights)


@contextmanager
def _first_layers(stacks: Sequence[nn.ModuleList], count: int) -> Iterator[None]:
    """Inside, each stack has its first `count` layers alone."""
    whole = [stack._modules for stack in stacks]
    try:
        for stack, layers in zip(stacks, whole, strict=True):
            stack._modules = dict(list(layers.items())[:count])
        yield
    finally:
        for stack, layers in zip(stacks, whole, strict=True):
            stack._modules = layers


def _traced(
    model: nn.Module,
    stacks: Sequence[nn.ModuleList],
    layers: int,
    trained: int,
    tokens: int,
    decoder_tokens: int,
    in_16_bit: bool,
    autocast: torch.dtype | None,
    gpu: bool,
    rows: int,
) -> _Parts:
    """One pass, through the first `layers` of each stack; `trained` and `in_16_bit` tell states of one model apart."""
    inputs = {"input_ids": torch.zeros(rows, tokens, dtype=torch.long, device="meta")}
    if decoder_tokens:
        inputs["decoder_input_ids"] = torch.zeros(rows, decoder_tokens, dtype=torch.long, device="meta")
    copies = Autocast(autocast) if autocast is not None else None
    with ExitStack() as modes:
        modes.enter_context(_first_layers(stacks, layers))
        seen = _Seen(model)
        if gpu:
            modes.enter_context(GpuKernels())
        if copies is not None:
            modes.enter_context(copies)
        modes.enter_context(torch.autograd.graph.saved_tensors_hooks(seen.note, lambda tensor: tensor))
        for hook in seen.hooks():
            modes.callback(hook.remove)
        model(**inputs)
    return seen.parts(0 if copies is None else copies.of_trained_weights())


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

    def parts(self, trained_copies: int) -> _Parts:
        """The sums, once the pass has ended."""
        sizes = [0] * (len(self.layers) + 1)
        for storage, where in self.storages.values():
            sizes[where] += storage.nbytes()
        outside = sizes.pop()
        return _Parts(outside + sum(sizes), outside, self.inputs, trained_copies, max(sizes, default=0))
