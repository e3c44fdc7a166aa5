"""The run: a `transformers.Trainer` whose step is a batch of sentence pairs, or of texts (`cda`, `dropout`).

    accelerate launch --config_file accelerate_configs/cpu_2proc.yaml -m training --config FILE

What differs from the stock Trainer, and why:
- the loss is one of `training.objectives`, divided by the pairs of the *global* batch, since the mean of the ranks'
  means is not the mean once sentences differ in length;
- batches group sentences of one length, and are the same for every number of processes;
- with `text_kl_weight` a step also holds the model to its base on running text, read with the step's first batch;
- the frozen base of `balance` is the model with its adapter switched off, so there is no second copy (under full
  fine-tuning there is one, sharded where the trained model is);
- a checkpoint is written aside and renamed, so a folder named checkpoint-N is complete; it holds the split of its
  pairs, with the digests of its weights and of the base model's;
- `save_total_limit` takes from older checkpoints what resuming needs, never the weights, which are still to be scored;
- after the first step each process checks that it holds its share of what ZeRO splits, and no more;
- configs are saved as they were loaded;
- a loss that is not finite stops the run.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from harness.data.split import Split, bind
from harness.models.head import logits_at
from harness.models.prefix_tree import additive
from harness.storage.weights import files_sha256
from training import objectives
from training.as_asked import require_disjoint, require_strategy, zero_stage_of
from training.batches import EpochOfSampler, GroupedBySentenceLength
from training.checkpoints import complete_checkpoints, keep_weights_only, note_saved, seal
from training.config import TrainingArguments
from training.dropout import dropout_as_loaded
from training.pair_arguments import PairArguments
from training.pairs import PairDataset, PairInEpoch, padded
from training.resume import mend_converted
from training.running_text import DrawnText
from training.saved import saved_as_loaded
from training.sharding import ShardingCheck, frozen_copy, frozen_weights_left_out, zero_stage
from training.text_blocks import TextBlocks

SAVING = ".saving"


class PairTrainer(Trainer):
    """Minimises `pair_arguments.objective` over a `PairDataset`, or over `TextBlocks`."""

    def __init__(
        self,
        *args: Any,
        pair_arguments: PairArguments,
        split: Split,
        tokenizer: PreTrainedTokenizerBase | None = None,
        base_model: PreTrainedModel | None = None,
        text: DrawnText | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pair_arguments, self.split, self.text = pair_arguments, split, text
        # Not as `processing_class`: the stock Trainer would write its special tokens into both configs, so a checkpoint
        # would end its texts elsewhere than its base, and a published generation config could not be saved any more.
        self.tokenizer = tokenizer
        self.base_model = None if base_model is None else frozen_copy(base_model, self.accelerator)
        self.sharding = ShardingCheck(self.accelerator, self.base_model)
        self.add_callback(self.sharding)
        self.loss_is_scaled_for_ga = True
        self._term_sums: dict[str, float] = {}
        self._pairs_seen = 0
        self._text_kls: list[float] = []
        self._text_read_at: int | None = None
        self._aside = False
        self._is_as_asked = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Sum of the pairs' losses over the pairs of the global batch, times the ranks that average gradients."""
        scored = inputs.pop("scored")
        rows = scored.pop("csv_row")
        if not self._is_as_asked:
            self._require_as_asked(model, rows)
        result = self._objective(model, inputs, **scored)
        finite = torch.isfinite(result.loss)
        if not finite.all():
            raise FloatingPointError(
                f"loss is not finite at step {self.state.global_step + 1} (epoch {self.state.epoch or 0:.2f}) on rank "
                f"{self.accelerator.process_index}: {self._called} {rows[~finite].tolist()} of the batch of "
                f"{self._called.split()[-1]} {rows.tolist()}. Checkpoints written before are intact; lower "
                "learning_rate, or use fp32 or bf16 instead of fp16."
            )
        self._log_terms(result.parts)
        pairs = num_items_in_batch if num_items_in_batch is not None else scored["pairs"]
        loss: Tensor = result.loss.sum() * self.accelerator.num_processes / pairs
        if self.text is not None and self._text_read_at != self.state.global_step:
            self._text_read_at = self.state.global_step
            loss = loss + self._text_loss(model, self.text)
        return loss

    def _text_loss(self, model: nn.Module, text: DrawnText) -> Tensor:
        """This process's part of text_kl_weight times the mean over a step's text tokens of KL(base || model).

        The model is called without its wrapper: where a process has nothing to read, none waits for it. Only ZeRO-3
        has to gather weights on all of them at once, so that there such a process reads what counts 0.
        """
        processes = self.accelerator.num_processes
        rows = text.rows(self.state.global_step, self.accelerator.process_index, processes)
        counts = bool(rows)
        if not rows and zero_stage(self.accelerator) == 3:
            rows = text.rows(self.state.global_step, 0, processes)[:1]
        if not rows:
            return torch.zeros((), device=self.accelerator.device)
        # Pieces are of one length, and so are their rows.
        inputs, scored = self._prepare_inputs(padded(rows, 0))
        logits = logits_at(self.accelerator.unwrap_model(model), scored["row"], scored["column"], **inputs)
        base_logits = self._base_logits(model, inputs, scored["row"], scored["column"])
        _, divergences = objectives.predictions(logits, scored["target"], base_logits)
        kl = divergences.sum() / (len(divergences) // len(rows) * text.per_step)
        if not torch.isfinite(kl):
            raise FloatingPointError(
                f"KL from the base on running text is not finite at step {self.state.global_step + 1} on rank "
                f"{self.accelerator.process_index}. Checkpoints written before are intact; lower learning_rate, or use "
                "fp32 or bf16 instead of fp16."
            )
        self._text_kls.append(kl.item() * text.per_step / len(rows))
        loss: Tensor = kl * counts * processes * self.pair_arguments.text_kl_weight
        return loss

    def _require_as_asked(self, model: nn.Module, rows: Tensor) -> None:
        """Before the first step: the strategy is the one asked for, and no two ranks have a pair in common."""
        require_strategy(self.accelerator.distributed_type.value, zero_stage_of(model))
        everywhere: Tensor = self.accelerator.gather(rows)
        require_disjoint(everywhere.view(self.accelerator.num_processes, -1).tolist(), self._called)
        self._is_as_asked = True

    @property
    def _called(self) -> str:
        """What the numbers of pairs or texts are of."""
        dataset: PairDataset | TextBlocks = self.train_dataset
        return dataset.called

    def _objective(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        row: Tensor,
        column: Tensor,
        target: Tensor,
        place: Tensor,
        owner: Tensor,
        in_end: Tensor,
        pairs: int,
    ) -> objectives.PairLoss:
        objective = objectives.OBJECTIVES[self.pair_arguments.objective]
        if (seen := inputs["attention_mask"]).dtype == torch.bool:
            inputs = {**inputs, "attention_mask": additive(seen, next(model.parameters()).dtype)}
        logits = logits_at(model, row, column, **inputs)
        base_logits = self._base_logits(model, inputs, row, column) if objective.base else None
        logprobs, divergences = objectives.predictions(
            logits, target, base_logits if objective.base == "divergences" else None
        )
        of_base = torch.zeros_like(logprobs)
        if base_logits is not None and objective.base == "sums":
            of_base, _ = objectives.predictions(base_logits, target)
        each = (logprobs, torch.ones_like(logprobs), of_base, divergences)
        of_tokens = [*(values[place] for values in each), logprobs[place] * in_end]
        sums = (objectives.sentence_sums(values, owner, objective.sentences(pairs)) for values in of_tokens)
        return objective.loss(objectives.Scored(*sums), self.pair_arguments)

    @torch.no_grad()
    def _base_logits(self, model: nn.Module, inputs: dict[str, Tensor], row: Tensor, column: Tensor) -> Tensor:
        """The base model's, without dropout; the model that is trained goes on in the mode that it was in."""
        if self.base_model is not None:
            return logits_at(self.base_model, row, column, **inputs)
        base = self.accelerator.unwrap_model(model)
        training = base.training
        base.eval()
        with base.disable_adapter():
            logits = logits_at(base, row, column, **inputs)
        base.train(training)
        return logits

    def _log_terms(self, parts: dict[str, Tensor]) -> None:
        for name, values in parts.items():
            self._term_sums[name] = self._term_sums.get(name, 0.0) + values.detach().sum().item()
        self._pairs_seen += next(iter(parts.values())).numel()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the mean of each term of the objective since the last log, over this rank's pairs."""
        if "loss" in logs and self._pairs_seen:
            logs |= {name: total / self._pairs_seen for name, total in self._term_sums.items()}
            if self._text_kls:
                logs["text_kl"] = sum(self._text_kls) / len(self._text_kls)
            self._term_sums, self._pairs_seen, self._text_kls = {}, 0, []
        super().log(logs, start_time)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Tensor | None:
        if not batch_samples:
            return None
        pairs = torch.tensor(sum(batch["scored"]["pairs"] for batch in batch_samples), device=device)
        return self.accelerator.gather(pairs).sum() if self.args.world_size > 1 else pairs

    def _get_train_sampler(self, train_dataset: PairDataset | TextBlocks | None = None) -> Sampler[PairInEpoch]:
        dataset: PairDataset | TextBlocks = train_dataset if train_dataset is not None else self.train_dataset
        per_step = self.args.train_batch_size * self.args.world_size * self.args.gradient_accumulation_steps
        seed = self.args.data_seed if self.args.data_seed is not None else self.args.seed
        sampler = GroupedBySentenceLength(dataset.lengths, per_step, seed, dataset.unit)
        self.add_callback(EpochOfSampler(sampler))
        return sampler

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder) / SAVING) if self._aside else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        output = Path(self.args.output_dir)
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        self._aside = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._aside = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            # DeepSpeed's scripts that put shards together: the weights are whole already.
            for script in (output / SAVING / name).glob("zero_to_*.py"):
                script.unlink()
            base = self.pair_arguments.model_name_or_path
            bind(output / SAVING / name, self.split, base, files_sha256(base))
            seal(output / SAVING / name)
            note_saved(output, name, output / SAVING / name)
            shutil.rmtree(output / name, ignore_errors=True)
            (output / SAVING / name).rename(output / name)
            shutil.rmtree(output / SAVING)
            if self.args.save_total_limit:
                for old in complete_checkpoints(output)[: -self.args.save_total_limit]:
                    keep_weights_only(old)
        self.accelerator.wait_for_everyone()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        with frozen_weights_left_out(self.model_wrapped) if zero_stage(self.accelerator) else nullcontext():
            super()._save_optimizer_and_scheduler(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint and zero_stage(self.accelerator) == 3 and self.model_wrapped.load_universal_checkpoint():
            mend_converted(self.model_wrapped.optimizer.optimizer, Path(checkpoint))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Under ZeRO-2 as under DDP, where every process has all weights.

        The stock Trainer would clone them, and write weights that two layers share (`lm_head`) twice.
        """
        if zero_stage(self.accelerator) == 2:
            self._save(output_dir)
        else:
            super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        model = self.accelerator.unwrap_model(self.model)
        with saved_as_loaded(model, folder), dropout_as_loaded(model, self.pair_arguments):
            super()._save(output_dir, state_dict)
        if self.tokenizer is not None and self.args.should_save:
            self.tokenizer.save_pretrained(folder)
        # The stock Trainer pickles its arguments beside the weights; the run's config file says the same in the open.
        (folder / "training_args.bin").unlink(missing_ok=True)


class LastStepSaved(TrainerCallback):
    """Writes a checkpoint of the last step whatever `save_strategy` says: a training that leaves nothing is none."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Under `epoch` the end of the epoch writes it."""
        if state.global_step >= state.max_steps and args.save_strategy != SaveStrategy.EPOCH:
            control.should_save = True
