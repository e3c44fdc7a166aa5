"""Which pairs or texts make a batch: of one length, and the same ones for every number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState

from training.config import TrainingArguments
from training.pairs import PairInEpoch


class GroupedBySentenceLength(Sampler[PairInEpoch]):
    """Shuffles, then sorts stretches of 20 batches by length and shuffles the batches: little padding, still random.

    `per_step` is the global batch, so the order depends on seed and epoch alone, never on the number of processes.
    Every batch is full: what is left over differs from epoch to epoch.

    Args:
        unit: what is counted, for messages.

    Raises:
        ValueError: there are fewer than one batch takes.
    """

    STRETCH = 20

    def __init__(self, lengths: Sequence[int], per_step: int, seed: int, unit: str = "pairs") -> None:
        if len(lengths) < per_step:
            raise ValueError(
                f"{len(lengths)} {unit} to train on, but a step takes {per_step}; lower per_device_train_batch_size, "
                "gradient_accumulation_steps or the number of processes"
            )
        self.lengths, self.per_step, self.seed, self.epoch = lengths, per_step, seed, 0

    def __len__(self) -> int:
        return len(self.lengths) // self.per_step * self.per_step

    def __iter__(self) -> Iterator[PairInEpoch]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()[: len(self)]
        stretch = self.per_step * self.STRETCH
        batches = []
        for start in range(0, len(order), stretch):
            part = sorted(order[start : start + stretch], key=lambda index: -self.lengths[index])
            batches += [part[at : at + self.per_step] for at in range(0, len(part), self.per_step)]
        for batch in torch.randperm(len(batches), generator=generator).tolist():
            yield from (PairInEpoch(index, self.epoch) for index in batches[batch])


class EpochOfSampler(TrainerCallback):
    """Tells the sampler its epoch.

    accelerate's own `set_epoch` does not find a sampler behind two wrappers: several processes that resume in the
    middle of an epoch would get the order of epoch 0.
    """

    def __init__(self, sampler: GroupedBySentenceLength) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """`state.epoch` counts passes over the data, with a fraction in the middle of one."""
        self.sampler.epoch = int(state.epoch or 0)
