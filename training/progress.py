"""Tells a run's watch how far the Trainer has come."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from harness.machine.watch import Watch
from training.config import TrainingArguments


class Progress(TrainerCallback):
    """Marks every part of a step. The first step may take long: memory is allocated, kernels are chosen."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.steps_before = -1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Also after a checkpoint was loaded."""
        self.steps_before = state.global_step
        self.watch.mark("before the first step", "slow")

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The batch is there."""
        first = state.global_step == self.steps_before
        self.watch.mark(f"step {state.global_step + 1}", "first step" if first else "step")

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """One of the batches that a step accumulates is through."""
        self.on_step_begin(args, state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """What follows is the next batch, or a checkpoint, whose size decides how long it takes."""
        if control.should_save:
            self.watch.mark(f"saving after step {state.global_step}", "slow")
        else:
            self.watch.mark(f"after step {state.global_step}", "step")

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """As after a step: here `save_strategy: epoch` saves."""
        self.on_step_end(args, state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The checkpoint is complete."""
        self.watch.mark(f"after saving step {state.global_step}", "step")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The next fold loads a model again."""
        self.watch.mark("between folds", "any")
