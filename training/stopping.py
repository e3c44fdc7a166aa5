"""SIGTERM (a pre-empted node, a notebook's end): all ranks save a checkpoint after the same step and end."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import SaveStrategy

from training.checkpoints import mark_unscheduled
from training.config import TrainingArguments

NOT_FINISHED = os.EX_TEMPFAIL
"""Exit code of a run that was asked to stop: 75, "try again"."""

log = logging.getLogger("training")


class Stopping(TrainerCallback):
    """Takes SIGTERM from now on: at once where there is nothing to save, after the step at work during training.

    The ranks agree on the step by a reduction of one number, since a signal may reach some of them, or all at
    different steps.
    """

    def __init__(self) -> None:
        self.requested = False
        self.training = False
        self.stopped = False
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self.training:
            log.warning(
                "stopped by SIGTERM outside of training steps; every complete checkpoint stays, and the same command "
                "goes on from the newest"
            )
            sys.exit(NOT_FINISHED)

    def agreed(self, args: TrainingArguments) -> bool:
        """Whether any rank was asked to stop; all ranks must ask this together."""
        if args.world_size == 1:
            return self.requested
        flag = torch.tensor(float(self.requested), device=args.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here on a signal waits for the end of a step."""
        self.training = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Saves and stops when a rank was asked to; a run that is at its end anyway goes on to it."""
        self.stopped = self.agreed(args) and not control.should_training_stop
        if not self.stopped:
            return
        # The Trainer's own callback came first: what it wants to save now is part of the run.
        ends_epoch = args.save_strategy == SaveStrategy.EPOCH and float(state.epoch or 0).is_integer()
        if not control.should_save and not ends_epoch and state.is_world_process_zero:
            mark_unscheduled(args.output_dir, state.global_step)
        control.should_save = control.should_training_stop = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The Trainer takes a stop for the end of an epoch, and would write the same checkpoint again."""
        if self.stopped:
            control.should_save = False

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Nothing is lost from here on."""
        self.training = False
        if self.stopped:
            log.warning(
                "stopped by SIGTERM after step %d of %d, saved in %s/checkpoint-%d; the same command goes on from it",
                state.global_step,
                state.max_steps,
                args.output_dir,
                state.global_step,
            )
