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
from typing import Any

import torch
import transformers
from transformers.integrations import get_available_reporting_integrations

from harness.machine.devices import require_able, visible_gpus
from harness.machine.peers import await_peers
from harness.mitigation.word_list import OWN
from harness.storage.files import read_yaml, sha256_file
from harness.storage.reading import brief_name
from harness.terminal.nearest import did_you_mean
from harness.terminal.options import dashed
from training.launched import asked_here, under_deepspeed, without_compiling
from training.objectives import OBJECTIVES
from training.options import OneSetting, SettingsParser, settings_parser
from training.pair_arguments import OF_BALANCE, ON_TEXT, PairArguments, reads_text, wrong_settings
from training.running_text import text_file
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

OF_PAIRS = ("num_folds", "balance_weight", "kl_weight", "balanced_tokens", "seq2seq_form")
"""Our settings that decide how pairs are trained on."""


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
                yield from wrong_settings({key: value})


def folds_of(settings: Mapping[str, Any]) -> list[int]:
    """The folds that a run with these settings trains."""
    defaults = PairArguments(model_name_or_path="", objective=settings.get("objective", "balance"))
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
    ours = _read_settings(pair_arguments)
    settings = {**ours, **{key: chosen[key] for key in DECIDES_WEIGHTS}, "pairs_per_step": batch}
    return dict(json.loads(json.dumps(settings, default=str)))


def _read_settings(arguments: PairArguments) -> dict[str, Any]:
    """Our settings that decide the weights; without those that nothing reads, which folders of before do not have."""
    unread = {*NOT_OF_THE_RESULT, "text", "words", *(name for name in OF_BALANCE if not getattr(arguments, name))}
    unread |= set(OF_PAIRS if arguments.objective in ON_TEXT else ("block_tokens",))
    digests = {}
    if arguments.objective == "cda":
        digests["words_sha256"] = sha256_file(OWN if arguments.words is None else Path(arguments.words))
    else:
        unread.add("bias_types")
    if reads_text(vars(arguments)):
        digests["text_sha256"] = text_file(arguments).sha256
    if OBJECTIVES[arguments.objective].base != "sums":
        unread.add("beta")
    if not arguments.text_kl_weight:
        unread |= {"text_tokens", "text_chunks"}
    return {key: value for key, value in asdict(arguments).items() if key not in unread} | digests


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
