"""What an experiment will do, told before it does it: each model's size and memory, and every command."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from harness.data.families import Family, family, read_config
from harness.experiment_file import Experiment, ModelEntry
from harness.memory import GIB, Batch, Memory, Parameters, count_parameters, empty_model, training_memory
from harness.model_shapes import SHAPES, config_of
from harness.report.formatting import parameters
from harness.strategy import Strategy, read_strategy
from training.config import PairArguments, TrainingArguments
from training.families import with_adapter

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LONGEST: Mapping[Family, int] = {"causal": 48, "masked": 50, "seq2seq": 56}
"""Tokens of the longest of the published CrowS-Pairs, special tokens in: vocabularies of GPT-2, BERT and T5."""

LONGEST_SPANS = 18
"""Tokens of the longest decoder text of the infill form."""

INSTRUCTION_TOKENS = 12
MASKED_ROWS_A_PAIR = 5.5
"""Tokens that a pair's sentences do not share, each a text of `balance`: in the batch of 8 pairs with the most."""

MASKED_AT_ONCE = 12
"""Tokens masked together in the longest sentence of the language modelling objectives."""


def known_config(model: ModelEntry) -> PretrainedConfig:
    """The config of a model folder, or of a hub id without asking the hub where `harness.model_shapes` knows it."""
    if model.pretrained in SHAPES:
        return config_of(model.pretrained)
    try:
        return read_config({"pretrained": model.pretrained, "revision": model.revision})
    except OSError as error:
        raise ValueError(
            f"model {model.name}: {model.pretrained} is no folder here, the hub could not be asked for its config, and "
            f"its shape is not one of those known without it: {', '.join(SHAPES)}"
        ) from error


def model_plan(experiment: Experiment, model: ModelEntry) -> str:
    """Three lines: what a model is, how its fine-tuning is spread, and the memory that it takes on each device."""
    settings = experiment.training_of(model)
    arguments = pair_arguments(model, settings)
    strategy = read_strategy(experiment.accelerate_config_of(model), settings)
    config = known_config(model)
    kind = family(config)
    batch = largest_batch(kind, arguments, _setting(settings, "per_device_train_batch_size"))
    count, memory = planned(config, kind, arguments, strategy, batch, settings)
    own = count.total if arguments.full else count.total - count.trained
    trained = "all of them" if arguments.full else f"{parameters(count.trained)} of adapters"
    texts = f"{batch.rows} texts of {batch.tokens} tokens" + (
        f" and {batch.decoder_tokens} of the decoder's" if batch.decoder_tokens else ""
    )
    return "\n".join(
        (
            f"{model.name}: {model.pretrained}, {kind}, {parameters(own)} parameters, trained: {trained}",
            f"  on {strategy}; at most {texts} a step on each",
            f"  GiB on each: {_told(memory)}",
        )
    )


def planned(
    config: PretrainedConfig,
    kind: Family,
    arguments: PairArguments,
    strategy: Strategy,
    batch: Batch,
    settings: Mapping[str, Any],
) -> tuple[Parameters, Memory]:
    """The size of a model as it will be trained, and the memory of it; `settings` are those of `python -m training`."""
    model: Any = empty_model(config, kind)
    balance = arguments.objective == "balance"
    if not arguments.full:
        with torch.device("meta"), warnings.catch_warnings():
            # PEFT tells of every GPT-2 that its layers are stored transposed.
            warnings.simplefilter("ignore")
            model = with_adapter(model, arguments, kind)
    count = count_parameters(model)
    memory = training_memory(
        model,
        batch,
        strategy,
        frozen_copy=arguments.full and balance,
        distributions=4 if balance else 2,
        accumulates=int(_setting(settings, "gradient_accumulation_steps")) > 1,
        checkpointing=bool(_setting(settings, "gradient_checkpointing")),
    )
    return count, memory


def pair_arguments(model: ModelEntry, settings: Mapping[str, Any]) -> PairArguments:
    """The part of a model's training settings that `python -m training` calls its own."""
    ours = {field.name for field in fields(PairArguments)}
    given = {name: value for name, value in settings.items() if name in ours and value is not None}
    if isinstance(targets := given.get("lora_target_modules"), str):
        given["lora_target_modules"] = [targets]
    return PairArguments(**{**given, "model_name_or_path": model.pretrained})


def largest_batch(kind: Family, arguments: PairArguments, pairs: int) -> Batch:
    """The largest step of `pairs` of the published CrowS-Pairs, as the objective asks for them."""
    rows, tokens = 2 * pairs, LONGEST[kind]
    if kind == "causal":
        return Batch(rows, tokens, 0, rows * (tokens - 1))
    if kind == "masked":
        if arguments.objective == "balance":
            rows = round(MASKED_ROWS_A_PAIR * pairs)
            return Batch(rows, tokens, 0, rows)
        return Batch(rows, tokens, 0, rows * MASKED_AT_ONCE)
    if arguments.seq2seq_form == "rewrite":
        return Batch(rows, tokens + INSTRUCTION_TOKENS, tokens, rows * tokens)
    return Batch(rows, tokens, LONGEST_SPANS, rows * LONGEST_SPANS)


def _setting(settings: Mapping[str, Any], name: str) -> Any:
    value = settings.get(name)
    return TrainingArguments.__dataclass_fields__[name].default if value is None else value


def _told(memory: Memory) -> str:
    parts = ("weights", "gradients", "optimizer", "buffers", "activations", "logits", "peak")
    return ", ".join(f"{part} {getattr(memory, part) / GIB:.2f}" for part in parts)
