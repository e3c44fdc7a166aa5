"""Settings of a run: `PairArguments` for what is ours, `TrainingArguments` for everything transformers names already.

A YAML file (`--config`) holds either kind of key; flags on the command line win over it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers.integrations import get_available_reporting_integrations

from harness.machine.devices import require_able, visible_gpus
from harness.machine.peers import HANG_SECONDS, await_peers
from harness.storage.files import read_yaml
from harness.storage.reading import brief_name
from harness.terminal.nearest import did_you_mean
from harness.terminal.options import dashed
from training.launched import asked_here, under_deepspeed, without_compiling
from training.objectives import OBJECTIVES
from training.options import OneSetting, SettingsParser, settings_parser
from training.unused import refusals

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

LONGEST_PROBLEM = 400
"""Characters of what argparse says of a value, which it quotes as a whole."""
NOT_OF_THE_RESULT = ("folds", "data_dir", "hang_seconds", "allow_pickle", "share_prefixes")
"""Our settings that the weights of a fold do not depend on."""


_BETA = "beta={}: a preference loss needs it above 0; 0.1 is usual"


@dataclass
class PairArguments:
    """What to fine-tune, on which pairs, towards what."""

    _argument_group_name = "what to train, and towards what"

    model_name_or_path: str = field(
        metadata={"help": "the model: a folder or a hub id; causal, masked or encoder-decoder"}
    )
    objective: Literal["anti", "both", "balance", "dpo", "ipo", "more"] = field(
        default="balance",
        metadata={
            "help": "what a step minimises: the loss of the less stereotypical sentence (anti), that of both (both), "
            "the gap between the two while the model stays close to the base (balance), a preference loss for the less "
            "stereotypical one (dpo, ipo), or the loss of the more stereotypical one, which makes a model more biased "
            "(more)"
        },
    )
    seq2seq_form: Literal["infill", "rewrite"] = field(
        default="infill",
        metadata={
            "help": "of encoder-decoders: fill in what the pair does not share, as it is scored, or rewrite one "
            "sentence as the other"
        },
    )
    balance_weight: float = field(default=0.5, metadata={"help": "of balance: how much the gap of a pair counts"})
    kl_weight: float = field(default=0.5, metadata={"help": "of balance: how much distance from the base counts"})
    beta: float = field(
        default=0.1, metadata={"help": "of dpo and ipo: how little the preference may leave the base's; above 0"}
    )
    balanced_tokens: Literal["modified", "all"] = field(
        default="modified",
        metadata={
            "help": "of masked models under balance, dpo and ipo: the tokens whose log-probabilities count; all is "
            "what crows_pairs scores, at some ten times the cost"
        },
    )
    share_prefixes: bool = field(
        default=True,
        metadata={"help": "of causal models that can: compute what the sentences of a pair begin with once"},
    )
    full: bool = field(default=False, metadata={"help": "train all weights instead of a LoRA adapter"})
    lora_r: int = field(default=16, metadata={"help": "rank of the LoRA adapter"})
    lora_alpha: int = field(default=32, metadata={"help": "scale of the LoRA adapter, over its rank"})
    lora_dropout: float = field(default=0.0, metadata={"help": "dropout before the adapter"})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["all-linear"],
        metadata={"help": "modules that get an adapter; all-linear: all but the output layer"},
    )
    num_folds: int = field(
        default=5,
        metadata={"help": "parts to cut CrowS-Pairs into, related pairs in one part; 1 trains on all"},
    )
    folds: list[str] = field(
        default_factory=lambda: ["all"],
        metadata={
            "help": "parts to hold out, each from a training of its own: numbers from 0, or all, which holds out "
            "every pair once"
        },
    )
    start_token_id: int | None = field(
        default=None, metadata={"help": "of causal models: the token before each sentence (default: BOS, else EOS)"}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "folder that holds crows_pairs/ (default: as `stereoscope data list` says)"}
    )
    hang_seconds: float = field(
        default=HANG_SECONDS,
        metadata={
            "help": "of several processes: end the run, and name the one that hangs, when others have waited so many "
            "seconds for it and it did nothing; a step that computes gets ten times as many on top of three times the "
            "longest so far"
        },
    )
    allow_pickle: bool = field(
        default=False,
        metadata={
            "help": "load pickled weights, and pickled state of ZeRO that this run did not write; they can run code "
            "of whoever made them"
        },
    )

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ValueError(_BETA.format(self.beta))

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

    _argument_group_name = "how to train (settings of transformers.TrainingArguments)"

    per_device_train_batch_size: int = field(default=16, metadata={"help": "Pairs a device and step."})
    learning_rate: float = field(default=5e-4, metadata={"help": "The initial learning rate for AdamW."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps of linear warm-up; below 1, a share of all."})
    num_train_epochs: float = field(default=2.0, metadata={"help": "Passes over the pairs of the other folds."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to write a checkpoint beside that of the last step."}
    )
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
        if refused := [problem for _, problem in refusals(vars(self))]:
            raise ValueError("; ".join(refused))
        if self.max_steps <= 0 and self.num_train_epochs <= 0:
            raise ValueError(f"num_train_epochs={self.num_train_epochs} trains nothing; give it, or max_steps, above 0")
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
        # The stock class forms the process group.
        await_peers(self.ddp_timeout, "--ddp-timeout")
        super().__post_init__()
        able = get_available_reporting_integrations()
        if missing := [name for name in self.report_to if name not in able]:
            raise ValueError(
                f"report_to: {', '.join(missing)} is not installed: pip install {' '.join(missing)}, or leave it out "
                f"({', '.join(able) or 'none'} would work)"
            )

    @property
    def n_gpu(self) -> int:
        """One a process: the stock Trainer would spread a single process over all GPUs by torch's `DataParallel`."""
        return min(int(super().n_gpu), 1)


def parse(argv: Sequence[str]) -> tuple[PairArguments, TrainingArguments]:
    """Both kinds of settings from flags, and from a YAML file where `--config FILE` names one.

    Raises:
        SystemExit: an unknown key or a value of the wrong type; says which, and the file's line.
    """
    parser = _parser(everything=(asked_for_all := "--help-all" in map(dashed, argv)))
    if asked_for_all:
        parser.print_help()
        parser.exit()
    config = _config_flag(argv)
    flags = (_flags_of(parser, config) if config is not None else []) + list(argv)
    parser.parse_args(flags)
    pair_arguments, training_arguments, _ = parser.parse_args_into_dataclasses(args=flags)
    return pair_arguments, training_arguments


def from_settings(settings: Mapping[str, Any]) -> tuple[PairArguments, TrainingArguments]:
    """Both kinds of settings by name, as in a `--config` file.

    Raises:
        ValueError: a name is unknown, or a value of the wrong type; says which.
    """
    if wrong := [problem for _, problem in problems(settings)]:
        raise ValueError("; ".join(wrong))
    given = {key: value for key, value in settings.items() if value is not None}
    flags = [flag for key, value in given.items() for flag in _flags(key, value)]
    pair_arguments, training_arguments, _ = _parser().parse_args_into_dataclasses(args=flags)
    return pair_arguments, training_arguments


def problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key of `settings` that is unknown, of the wrong type or of no use here, and what is wrong with it."""
    yield from refusals({key: _as_written(key, value) for key, value in settings.items()})
    actions = {action.dest: action for action in _parser()._actions}
    for key, value in settings.items():
        if key not in actions or key in ("config", "help", "help_all"):
            unknown = f"unknown key {brief_name(key)!r}{did_you_mean(key, actions)}"
            yield key, f"{unknown} `python -m training --help-all` lists the keys"
        elif value is not None:
            alone = OneSetting(add_help=False, exit_on_error=False)
            alone._add_action(actions[key])
            try:
                alone.parse_args(_flags(key, value))
            except argparse.ArgumentError as error:
                yield key, f"{key}: {error.message[:LONGEST_PROBLEM]}"
            else:
                if key == "beta" and float(value) <= 0:
                    yield key, _BETA.format(value)


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
    if OBJECTIVES[pair_arguments.objective].base != "sums":
        del ours["beta"]  # nothing reads it, and folders of before there were such objectives do not have it
    settings = {**ours, **{key: chosen[key] for key in DECIDES_WEIGHTS}, "pairs_per_step": batch}
    return dict(json.loads(json.dumps(settings, default=str)))


def _parser(everything: bool = True) -> SettingsParser:
    ours = {item.name for item in fields(PairArguments)}
    return settings_parser((PairArguments, TrainingArguments), ours, everything)


def _config_flag(argv: Sequence[str]) -> Path | None:
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--config", type=Path)
    config: Path | None = early.parse_known_args(list(argv))[0].config
    return config


def _flags_of(parser: SettingsParser, path: Path) -> list[str]:
    if not path.is_file():
        parser.error(f"--config {path}: no such file")
    try:
        settings, lines = read_yaml(path)
    except ValueError as error:
        parser.error(str(error))
    for key, problem in problems(settings):
        parser.error(f"{path}, line {lines.get((key,), 1)}: {problem}")
    return [flag for key, value in settings.items() if value is not None for flag in _flags(key, value)]


def _flags(key: str, value: Any) -> list[str]:
    name, value = dashed(f"--{key}"), _as_written(key, value)
    if isinstance(value, dict):
        return [name, json.dumps(value)]
    return [name, *(str(item) for item in (value if isinstance(value, list) else [value]))]


def _as_written(key: str, value: Any) -> Any:
    """YAML reads `save_strategy: no` as false."""
    return "no" if value is False and key.endswith("_strategy") else value
