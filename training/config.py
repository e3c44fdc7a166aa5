"""Settings of a run: `PairArguments` for what is ours, `TrainingArguments` for everything transformers names already.

A YAML file (`--config`) holds either kind of key; flags on the command line win over it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import HfArgumentParser

from harness.machine.devices import require_able, visible_gpus
from harness.storage.files import read_yaml
from training.launched import asked_here, under_deepspeed, without_compiling

DECIDES_WEIGHTS = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "optim",
    "bf16",
    "fp16",
    "seed",
    "data_seed",
)

NOT_OF_THE_RESULT = ("folds", "data_dir", "hang_seconds")
"""Our settings that the weights of a fold do not depend on."""


@dataclass
class PairArguments:
    """What to fine-tune, on which pairs, towards what."""

    model_name_or_path: str = field(
        metadata={"help": "Hub id or folder of a causal, masked or encoder-decoder language model."}
    )
    objective: Literal["anti", "both", "balance"] = field(
        default="balance", metadata={"help": "What a step minimises; formulas in training/objectives.py."}
    )
    seq2seq_form: Literal["infill", "rewrite"] = field(
        default="infill",
        metadata={
            "help": "Encoder-decoders: fill in what the pair does not share, as it is scored, or rewrite one sentence "
            "as the other."
        },
    )
    balance_weight: float = field(default=0.5, metadata={"help": "`balance`: weight of the log-probability gap."})
    kl_weight: float = field(default=0.5, metadata={"help": "`balance`: weight of the divergence from the base."})
    balanced_tokens: Literal["modified", "all"] = field(
        default="modified",
        metadata={
            "help": "Masked models, `balance`: tokens whose pseudo-log-likelihood is levelled; `all` is what "
            "crows_pairs scores, at some ten times the cost."
        },
    )
    full: bool = field(default=False, metadata={"help": "Train all weights instead of a LoRA adapter."})
    lora_r: int = field(default=16, metadata={"help": "Rank of the LoRA adapter."})
    lora_alpha: int = field(default=32, metadata={"help": "Scale of the LoRA adapter, over its rank."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout before the adapter."})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["all-linear"],
        metadata={"help": "Modules with an adapter; `all-linear`: all but the head."},
    )
    num_folds: int = field(
        default=5, metadata={"help": "Folds of CrowS-Pairs; related pairs share one. 1 trains on all pairs."}
    )
    folds: list[str] = field(
        default_factory=lambda: ["all"],
        metadata={"help": "Folds to hold out, one run each: numbers from 0, or `all` for cross-fitting."},
    )
    start_token_id: int | None = field(
        default=None, metadata={"help": "Causal models: token before each sentence; default: BOS, else EOS."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder with crows_pairs/; default: as `stereoscope data list` says."}
    )
    hang_seconds: float = field(
        default=45.0,
        metadata={
            "help": "The run ends, and names the process that hangs, when all processes have done nothing for so many "
            "seconds, or when a training step takes so many on top of three times the longest so far."
        },
    )
    allow_pickle: bool = field(
        default=False, metadata={"help": "Load pickled weights, which can run code of whoever made them."}
    )

    def held_out_folds(self) -> list[int]:
        """The folds to train, each holding out its own pairs.

        Raises:
            ValueError: a name that is neither `all` nor a fold's number.
        """
        if self.folds == ["all"]:
            return list(range(self.num_folds))
        if wrong := [name for name in self.folds if not name.isdigit() or int(name) >= self.num_folds]:
            raise ValueError(f"folds has {wrong}; expected `all` or numbers from 0 to {self.num_folds - 1}")
        return [int(name) for name in self.folds]


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """`transformers.TrainingArguments` with defaults for a few hundred pairs; on a machine without GPU, gloo.

    Raises:
        ValueError: a setting that means nothing here, or a strategy that this machine's devices cannot run.
    """

    per_device_train_batch_size: int = field(default=16, metadata={"help": "Pairs a device and step."})
    learning_rate: float = field(default=5e-4, metadata={"help": "The initial learning rate for AdamW."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps of linear warm-up; below 1, a share of all."})
    num_train_epochs: float = field(default=2.0, metadata={"help": "Passes over the pairs of the other folds."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(
        default=None,
        metadata={
            "help": "Newest checkpoints that keep what resuming needs; weights of all stay, to be scored. 2 survives a "
            "damaged one."
        },
    )
    logging_steps: float = field(default=5, metadata={"help": "Steps between log lines."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "The trainer stops at such a loss itself."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Whether some weights may go without a gradient in a step."}
    )
    use_cpu: bool = field(default=False, metadata={"help": "Whether to leave GPUs alone."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Pairs have no columns that a model takes."})

    def __post_init__(self) -> None:
        for name, unused in (
            ("label_smoothing_factor", 0.0),
            ("eval_strategy", "no"),
            ("train_sampling_strategy", "random"),
        ):
            if getattr(self, name) != unused:
                raise ValueError(
                    f"{name}={getattr(self, name)} means nothing here: the objectives are training/objectives.py's, "
                    "batches are grouped by length, and checkpoints are scored by `stereoscope run` or `eval`"
                )
        asked = next((name for name in ("fp16", "bf16") if getattr(self, name)), None)
        strategy = asked_here(asked, torch.cuda.is_available() and not self.use_cpu)
        require_able(strategy, visible_gpus())
        if strategy.zero_stage and strategy.precision != "fp32":
            # The stock Trainer refuses a DeepSpeed config in 16 bit whose flag is not set as well.
            setattr(self, strategy.precision, True)
        if not torch.cuda.is_available():
            self.use_cpu = True
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                self.ddp_backend: str | None = self.ddp_backend or "gloo"
            if under_deepspeed():
                without_compiling()
        super().__post_init__()

    @property
    def n_gpu(self) -> int:
        """One a process: the stock Trainer would spread a single process over all GPUs by torch's `DataParallel`."""
        return min(int(super().n_gpu), 1)


def parse(argv: Sequence[str]) -> tuple[PairArguments, TrainingArguments]:
    """Both kinds of settings from flags, and from a YAML file where `--config FILE` names one.

    Raises:
        SystemExit: an unknown key or a value of the wrong type; says which, and the file's line.
    """
    parser = _parser()
    config = _config_flag(argv)
    flags = (_flags_of(parser, config) if config is not None else []) + list(argv)
    pair_arguments, training_arguments, _ = parser.parse_args_into_dataclasses(args=flags)
    return pair_arguments, training_arguments


def problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key of `settings` that is unknown or of the wrong type, and what is wrong with it."""
    actions = {action.dest: action for action in _parser()._actions}
    for key, value in settings.items():
        if key not in actions or key in ("config", "help"):
            yield key, f"unknown key {key!r}; `python -m training --help` lists the keys"
        elif value is not None:
            alone = argparse.ArgumentParser(add_help=False, exit_on_error=False)
            alone._add_action(actions[key])
            try:
                alone.parse_args(_flags(key, value))
            except argparse.ArgumentError as error:
                yield key, f"{key}: {error.message}"


def folds_of(settings: Mapping[str, Any]) -> list[int]:
    """The folds that a run with these settings trains."""
    defaults = PairArguments(model_name_or_path="")
    folds = settings.get("folds", defaults.folds)
    names = [str(name) for name in folds] if isinstance(folds, list) else [str(folds)]
    return replace(defaults, num_folds=int(settings.get("num_folds", defaults.num_folds)), folds=names).held_out_folds()


def fingerprint(pair_arguments: PairArguments, training_arguments: TrainingArguments) -> dict[str, Any]:
    """The settings that decide the trained weights, for telling one run's folder from another's."""
    batch = (
        training_arguments.train_batch_size
        * training_arguments.world_size
        * training_arguments.gradient_accumulation_steps
    )
    chosen = training_arguments.to_dict()
    ours = {key: value for key, value in asdict(pair_arguments).items() if key not in NOT_OF_THE_RESULT}
    settings = {**ours, **{key: chosen[key] for key in DECIDES_WEIGHTS}, "pairs_per_step": batch}
    return dict(json.loads(json.dumps(settings, default=str)))


def _parser() -> HfArgumentParser:
    parser = HfArgumentParser((PairArguments, TrainingArguments), prog="python -m training", description=__doc__)
    parser.add_argument("--config", type=Path, help="YAML file of the settings below.")
    return parser


def _config_flag(argv: Sequence[str]) -> Path | None:
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--config", type=Path)
    config: Path | None = early.parse_known_args(list(argv))[0].config
    return config


def _flags_of(parser: HfArgumentParser, path: Path) -> list[str]:
    if not path.is_file():
        parser.error(f"--config {path}: no such file")
    try:
        settings, lines = read_yaml(path)
    except ValueError as error:
        parser.error(str(error))
    for key, problem in problems(settings):
        parser.error(f"{path}, line {lines[(key,)]}: {problem}")
    return [flag for key, value in settings.items() if value is not None for flag in _flags(key, value)]


def _flags(key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"--{key}", json.dumps(value)]
    return [f"--{key}", *(str(item) for item in (value if isinstance(value, list) else [value]))]
