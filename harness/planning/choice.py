"""Which accelerate config to train a model with on a machine: the fastest whose memory is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.data.families import Family, family
from harness.machine.strategy import Strategy, read_strategy
from harness.planning.hardware import Machine
from harness.planning.memory import GIB, Memory, count_parameters
from harness.planning.plan import (
    checkpoints,
    known_config,
    largest_batch,
    memory_of,
    model_to_train,
    pair_arguments,
    setting,
)
from harness.planning.planned_model import PlannedModel
from harness.storage.shipped import shipped
from training.families import T5_TYPES
from training.pair_arguments import PairArguments

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

MARGIN = 1.11
"""No measured peak was further above the planned one (docs/distributed.md)."""


@dataclass(frozen=True)
class Option:
    """A way to train: `pairs` a device and batch, `accumulation` batches a step, and the memory of one process.

    `usable` is the memory in GiB that a process may take on the machine, `host_gib` that of the machine's own.
    """

    config: Path
    strategy: Strategy
    pairs: int
    accumulation: int
    checkpointing: bool
    memory: Memory
    usable: float
    host_gib: float

    @property
    def verdict(self) -> Literal["fits", "tight", "too large", "host too small"]:
        """Whether the device and the host have that memory; `tight` if only just."""
        if self.memory.peak > self.usable * GIB:
            return "too large"
        if self.memory.host > self.host_gib * GIB:
            return "host too small"
        return "fits" if MARGIN * self.memory.peak <= self.usable * GIB else "tight"

    @property
    def lacking(self) -> tuple[float, float]:
        """Bytes that the device and the host have too little."""
        return max(0, self.memory.peak - self.usable * GIB), max(0, self.memory.host - self.host_gib * GIB)

    @property
    def slowness(self) -> tuple[bool | int, ...]:
        """Orders options: 16 bit before fp32; DDP and ZeRO-2, which send as much, before offload and ZeRO-3.

        Among those, computing layers again costs a third of a step. On a CPU several processes share the cores that one
        would have, and take more memory.
        """
        on = self.strategy
        return (
            on.precision == "fp32" and on.gpu,
            on.zero_stage == 3,
            on.offload_weights,
            on.offload_optimizer,
            self.checkpointing,
            on.zero_stage,
            on.processes,
        )


@dataclass(frozen=True)
class Choice:
    """What a model can be trained with, all weights or an adapter: an option for each config."""

    full: bool
    parameters: int
    options: tuple[Option, ...]

    @property
    def taken(self) -> Option | None:
        """The fastest that fits."""
        able = [option for option in self.options if option.verdict == "fits"]
        return min(able, key=lambda option: option.slowness, default=None)

    @property
    def nearest(self) -> Option:
        """Where none fits: the one that lacks the least, on the device and then on the host."""
        return min(self.options, key=lambda one: (one.lacking, one.slowness))


def choice(model: PlannedModel, machine: Machine, *, full: bool) -> Choice:
    """What the model can be trained with, in full or with LoRA, with the experiment's other settings.

    A step's pairs stay what they are in the experiment. Of each config it is the largest batch that fits, without
    checkpointing if one does, or else the smallest with it.

    Raises:
        ValueError: the model's shape is not known here, or no config is for this machine.
    """
    config = known_config(model)
    settings = model.training
    arguments = pair_arguments(model.pretrained, {**settings, "full": full})
    step = _pairs_a_step(settings, model.strategy)
    usable = _usable(machine, config, model)
    kind = family(config)
    empty = model_to_train(config, kind, arguments)
    count = count_parameters(empty)
    options = []
    for path, strategy in usable.items():
        tried = []
        for option in _variants(path, strategy, empty, kind, arguments, settings, step, machine):
            tried.append(option)
            if option.verdict == "fits":
                break
        options.append(tried[-1])
    options.sort(key=lambda option: option.slowness)
    return Choice(full, count.total if full else count.total - count.trained, tuple(options))


def _usable(machine: Machine, config: PretrainedConfig, model: PlannedModel) -> dict[Path, Strategy]:
    """The configs for such a machine and model: of those that come with the program, and the model's own.

    Raises:
        ValueError: there is none; says where they were looked for.
    """
    folder = shipped("accelerate_configs")
    own = [] if model.accelerate_config is None else [model.accelerate_config.resolve()]
    paths = sorted({*folder.glob("*.yaml"), *own})
    found = {path: read_strategy(path, model.training) for path in paths}
    able = {path: strategy for path, strategy in found.items() if _able(strategy, machine, config)}
    if not able:
        raise ValueError(
            f"none of the {len(found)} configs, those in {folder} and the experiment's own, is for "
            f"{machine.gpus or 'no'} GPU(s) and a {config.model_type} model; write one with `accelerate config` and "
            "name it in the experiment's training"
        )
    return able


def _able(strategy: Strategy, machine: Machine, config: PretrainedConfig) -> bool:
    if (
        strategy.machines > 1
        or strategy.gpu != (machine.gpus > 0)
        or (strategy.gpu and strategy.processes != machine.gpus)
    ):
        return False
    if strategy.precision == "bf16" and not machine.bf16:
        return False
    return not (strategy.precision == "fp16" and (config.model_type in T5_TYPES or not strategy.gpu))


def _pairs_a_step(settings: Mapping[str, Any], strategy: Strategy) -> int:
    one = int(setting(settings, "per_device_train_batch_size")) * int(setting(settings, "gradient_accumulation_steps"))
    return one * strategy.processes


def _variants(
    path: Path,
    strategy: Strategy,
    model: nn.Module,
    kind: Family,
    arguments: PairArguments,
    settings: Mapping[str, Any],
    step: int,
    machine: Machine,
) -> Iterator[Option]:
    """Fastest first."""
    on_each = max(1, step // strategy.processes)
    for checkpointing in (True,) if checkpoints(settings) else (False, True):
        pairs = min(on_each, int(setting(settings, "per_device_train_batch_size")))
        while True:
            accumulation = on_each // pairs
            batch = largest_batch(kind, arguments, pairs)
            memory = memory_of(model, kind, arguments, strategy, batch, accumulation, checkpointing)
            yield Option(
                path,
                strategy,
                pairs,
                accumulation,
                checkpointing,
                memory,
                machine.usable(strategy.processes),
                machine.host_gib,
            )
            if pairs == 1:
                break
            pairs //= 2
