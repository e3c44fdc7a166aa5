"""The options of `python -m training`: ours first, then the stock Trainer's that are often set, or on demand all."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from transformers import HfArgumentParser

from harness.terminal.options import DashedParser

OFTEN_SET = {
    "output_dir": "folder of the run; each fold gets a folder in it, with its checkpoints",
    "per_device_train_batch_size": "pairs, or texts, a device and step",
    "gradient_accumulation_steps": "batches that are added up to one step",
    "learning_rate": "the highest one, reached after the warm-up",
    "num_train_epochs": "passes over the pairs of the other folds, or over the texts",
    "max_steps": "steps a fold, in place of passes",
    "warmup_steps": "steps of linear warm-up; below 1, a share of all steps",
    "lr_scheduler_type": "how the learning rate falls: linear, cosine, constant, ...",
    "save_strategy": "when to write a checkpoint: epoch, steps, or no for the last step's alone",
    "save_steps": "steps between checkpoints, with --save-strategy steps",
    "save_total_limit": "newest checkpoints that keep what resuming needs; the weights of all stay, to be scored. 2 "
    "survives a damaged one (default: all)",
    "logging_steps": "steps between two losses that are kept in trainer_state.json",
    "seed": "decides the adapter's first weights and the order of pairs",
    "bf16": "train in bfloat16; otherwise as the accelerate config says",
    "fp16": "train in float16; otherwise as the accelerate config says",
    "gradient_checkpointing": "compute activations twice instead of keeping them: less memory, more time",
    "use_cpu": "leave GPUs alone",
    "ddp_timeout": "seconds to wait for all processes to come, and then for one that computes (default: 1800)",
    "disable_tqdm": "no progress bar, on a terminal either",
}
"""The stock Trainer's settings that `--help` tells of, in words that hold here."""

_METAVARS: dict[Any, str] = {int: "N", float: "X"}


class SettingsParser(HfArgumentParser, DashedParser):
    """Options from dataclasses, as `HfArgumentParser` makes them, with dashes."""


def settings_parser(types: tuple[type, ...], ours: Collection[str], everything: bool) -> SettingsParser:
    """A parser that takes every setting of the dataclasses.

    Args:
        ours: the settings that are this project's.
        everything: tell of all others too, and not only of those in `OFTEN_SET`.
    """
    # mypy knows nothing of `HfArgumentParser`, and takes this for argparse's own constructor.
    make: Any = SettingsParser
    parser: SettingsParser = make(
        types,
        prog="python -m training",
        usage="accelerate launch [--config_file SHAPE] -m training --config FILE [options]",
        description="Fine-tune a language model on CrowS-Pairs, fold after fold, or on running text. Settings come "
        "from a YAML file, from options, or from both: an option wins over the file, whose keys have underscores for "
        "dashes.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with any of the settings below")
    parser.add_argument("--help-all", action="store_true", help="tell of all of the Trainer's settings too, and exit")
    for action in parser._actions:
        if action.dest in OFTEN_SET:
            action.help = OFTEN_SET[action.dest]
        elif action.dest not in (*ours, "help", "config", "help_all") and not everything:
            action.help = argparse.SUPPRESS
        if action.metavar is None and action.nargs != 0 and len(list(action.choices or ())) not in range(1, 5):
            action.metavar = "yes|no" if action.nargs == "?" else _METAVARS.get(action.type, "VALUE")
    parser.finish()
    return parser


class OneSetting(argparse.ArgumentParser):
    """Says that a list is no single value as it says all else, where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        """An `ArgumentError` with argparse's message."""
        raise argparse.ArgumentError(None, message)
