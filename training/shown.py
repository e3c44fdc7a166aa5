"""What a run shows of its steps: a bar with the loss on a terminal, in a file a line a minute."""

from __future__ import annotations

import logging
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from harness.terminal.bars import bars_wanted
from training.config import TrainingArguments

SECONDS_BETWEEN_LINES = 60
_OF_THE_OPTIMIZER = ("grad_norm", "learning_rate", "epoch")
log = logging.getLogger("training")


class Shown(TrainerCallback):
    """In place of the stock Trainer's bar, which prints a dictionary at every log, beside it or instead of it."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self._bar: Any = None
        self._told = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From the step that a resumed run is at."""
        if state.is_world_process_zero and bars_wanted() and not args.disable_tqdm:
            from tqdm import tqdm

            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="Training", dynamic_ncols=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """One more."""
        if self._bar is not None:
            self._bar.update()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """The terms of the objective since the last log; the end of a run is logged without them."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        self.loss = logs["loss"]
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{self.loss:.4g}")
        elif time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            terms = ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in _OF_THE_OPTIMIZER)
            log.info("step %d of %d: %s", state.global_step, state.max_steps, terms)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The bar stays on the screen as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
