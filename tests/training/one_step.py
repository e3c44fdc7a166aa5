"""A trainer in this process, and the loss of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.data.split import Split
from harness.data.tokens import load_tokenizer
from training.config import TrainingArguments
from training.data import data_of, text_of
from training.families import load_model, with_adapter
from training.objectives import OBJECTIVES
from training.pair_arguments import PairArguments
from training.pairs import PairInEpoch
from training.trainer import PairTrainer


def trainer_of(
    folder: Path, output: Path, pairs: Sequence[Pair], training_arguments: dict[str, Any] | None = None, **settings: Any
) -> PairTrainer:
    """A trainer of `pairs`. A LoRA adapter already has random weights, as if it had learned something."""
    arguments = PairArguments(str(folder), **settings)
    family = family_of({"pretrained": str(folder)})
    tokenizer, model = load_tokenizer({"pretrained": str(folder)}), load_model(arguments, family)
    dataset, collator = data_of(arguments, family, model, tokenizer, pairs, 0)
    text = text_of(arguments, family, tokenizer, model, 0)
    base = None
    if arguments.full:
        base = load_model(arguments, family) if OBJECTIVES[arguments.objective].base else None
    else:
        torch.manual_seed(0)
        model = with_adapter(model, arguments, family)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    return PairTrainer(
        model=model,
        args=TrainingArguments(output_dir=str(output), report_to=[], disable_tqdm=True, **(training_arguments or {})),
        train_dataset=dataset,
        data_collator=collator,
        pair_arguments=arguments,
        split=Split(data_sha256="", folds=1, fold=-1, train=(), held_out=()),
        base_model=base,
        text=text,
    )


def loss_of(trainer: PairTrainer, numbers: Sequence[int]) -> Tensor:
    """The loss of one batch of these pairs, the model in the mode it is in."""
    dataset = trainer.train_dataset
    batch = trainer.data_collator([dataset[PairInEpoch(number, 0)] for number in numbers])
    return trainer.compute_loss(trainer.model, batch)
