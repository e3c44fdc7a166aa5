"""Is the state of a run really split over its processes? What this one holds in memory, and what it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SLACK = 0.1
"""Share by which a shard may exceed an even split: DeepSpeed pads every tensor or group to a multiple of the ranks."""


class Held(NamedTuple):
    """Bytes: of weights, LoRA's frozen ones included, of AdamW's two moments, and of `balance`'s second copy."""

    parameters: int
    optimizer: int
    frozen_copy: int = 0


def zero_stage(accelerator: Accelerator) -> int:
    """DeepSpeed's ZeRO stage, 0 without DeepSpeed."""
    plugin = accelerator.state.deepspeed_plugin
    return 0 if plugin is None else int(plugin.zero_stage)


def held_bytes(model: nn.Module, optimizer: Any, stage: int, copy: nn.Module | None = None) -> Held:
    """What this process holds between two steps; the optimizer has state from the first one on.

    Args:
        model: as `Trainer` has it, wrapped or not.
        copy: as `frozen_copy` made it.
        optimizer: as accelerate prepared it.
        stage: of ZeRO, 0 without.
    """
    moments = optimizer.optimizer.optimizer.state if stage else optimizer.optimizer.state
    tensors = (value for state in moments.values() for value in state.values() if isinstance(value, torch.Tensor))
    return Held(
        _weight_bytes(model, stage),
        sum(_bytes(tensor) for tensor in tensors if tensor.dim()),
        0 if copy is None else _weight_bytes(copy, stage),
    )


def whole_bytes(model: nn.Module, stage: int, copy: nn.Module | None = None) -> Held:
    """What one process alone would hold: every weight, and two fp32 moments for each that is trained."""
    sizes = [
        (weight.ds_numel if stage == 3 else weight.numel(), weight.element_size(), weight.requires_grad)
        for weight in _weights(model)
    ]
    return Held(
        sum(count * size for count, size, _ in sizes),
        sum(8 * count for count, _, trained in sizes if trained),
        0 if copy is None else whole_bytes(copy, stage).parameters,
    )


def require_sharded(held: Held, whole: Held, stage: int, processes: int, rank: int) -> None:
    """Stop a run whose processes each hold what they were to share.

    Raises:
        RuntimeError: names the rank, what it holds and what its share is.
    """
    shared = {2: ("optimizer",), 3: ("parameters", "optimizer", "frozen_copy")}.get(stage, ())
    for name in shared:
        found, share = getattr(held, name), getattr(whole, name) / processes
        # Small tensors are padded to a few elements a rank: what a tiny model has of them is no sign of a fault.
        if found > (1 + SLACK) * share + 4096:
            raise RuntimeError(
                f"rank {rank} holds {found} bytes of {name}; under ZeRO-{stage} on {processes} processes its share is "
                f"{share:.0f}. Nothing is sharded: check distributed_type, num_processes and deepspeed_config of the "
                "accelerate config (accelerate_configs/ has tested ones)"
            )


class ShardingCheck(TrainerCallback):
    """Checks after the first step, when the optimizer has its state, that this process holds its share alone."""

    def __init__(self, accelerator: Accelerator, copy: nn.Module | None) -> None:
        self.accelerator = accelerator
        self.copy = copy
        self.held: Held | None = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Runs once in the life of a trainer."""
        if self.held is None:
            stage, model = zero_stage(self.accelerator), kwargs["model"]
            self.held = held_bytes(model, kwargs["optimizer"], stage, self.copy)
            processes, rank = self.accelerator.num_processes, self.accelerator.process_index
            require_sharded(self.held, whole_bytes(model, stage, self.copy), stage, processes, rank)


def frozen_copy(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """A second, frozen model beside the trained one, as that is kept: in its type, and sharded under ZeRO-3."""
    model.requires_grad_(False)
    if (stage := zero_stage(accelerator)) == 0:
        return model.to(accelerator.device).eval()
    plugin = accelerator.state.deepspeed_plugin
    if stage == 2:
        return model.to(accelerator.device, plugin.hf_ds_config.dtype()).eval()
    import deepspeed

    config = deepcopy(plugin.deepspeed_config)
    config["zero_optimization"].pop("offload_optimizer", None)
    engine: nn.Module = deepspeed.initialize(model=model, config=config)[0]
    engine.eval()  # which returns nothing for an engine
    return engine


@contextmanager
def frozen_weights_left_out(engine: Any) -> Iterator[None]:
    """While a DeepSpeed engine saves its state: no frozen weight goes into it, under any of its names.

    DeepSpeed's own `exclude_frozen_parameters` knows one name of each, and keeps a tied output head under the other:
    for BLOOM a gigabyte a checkpoint.
    """
    whole = engine.module_state_dict
    frozen = {
        name for name, weight in engine.module.named_parameters(remove_duplicate=False) if not weight.requires_grad
    }

    def trained(**options: Any) -> dict[str, Any]:
        return {name: value for name, value in whole(**options).items() if name not in frozen}

    engine.module_state_dict = trained
    try:
        yield
    finally:
        del engine.module_state_dict


def _weight_bytes(model: nn.Module, stage: int) -> int:
    # Under ZeRO-3 a weight's own storage is empty between steps, and its shard lies beside it.
    return sum(_bytes(weight) + (_bytes(weight.ds_tensor) if stage == 3 else 0) for weight in _weights(model))


def _weights(model: nn.Module) -> list[Any]:
    """Typed as what they are under ZeRO-3, where DeepSpeed gives them attributes of its own (`ds_...`)."""
    return list(model.parameters())


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
