"""What an experiment will do, told before it does it: each model's size and memory, and every command."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness.data.families import Family, family, read_config
from harness.data.span_corruption import spans_in
from harness.machine.strategy import Strategy
from harness.metrics.formatting import parameters
from harness.planning.activations import Batch
from harness.planning.memory import GIB, Memory, Parameters, count_parameters, empty_model, training_memory
from harness.planning.model_shapes import SHAPES, config_of
from harness.planning.planned_model import PlannedModel, require_found
from harness.storage.files import looked_in
from training.config import TrainingArguments, folds_of
from training.dropout import raise_dropout
from training.families import with_adapter
from training.masked_pairs import MASKED_SHARE
from training.objectives import OBJECTIVES
from training.pair_arguments import ON_TEXT, PairArguments

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LONGEST: Mapping[Family, int] = {"causal": 48, "masked": 50, "seq2seq": 56}
"""Tokens of the longest of the published CrowS-Pairs, special tokens in: vocabularies of GPT-2, BERT and T5."""

LONGEST_SPANS = 18
"""Tokens of the longest decoder text of the infill form."""

INSTRUCTION_TOKENS = 12
SPECIAL = 2
"""Tokens that a masked model's tokenizer puts around a text."""

MASKED_ROWS_A_PAIR = 5.5
"""Tokens that a pair's sentences do not share, each a text of `balance`: in the batch of 8 pairs with the most."""

CHECKPOINTING = ("activation_checkpointing", "gradient_checkpointing")
"""The setting's name, and the one that it had before."""

MASKED_AT_ONCE = 12
"""Tokens masked together in the longest sentence of the language modelling objectives."""


_made: dict[tuple[str, str, str], nn.Module] = {}


def known_config(model: PlannedModel) -> PretrainedConfig:
    """The config of a model folder, or of a hub id without asking the hub where `model_shapes` knows it."""
    if model.pretrained in SHAPES:
        return config_of(model.pretrained)
    require_found(model)
    try:
        return read_config({"pretrained": model.pretrained, "revision": model.revision})
    except OSError as error:
        raise ValueError(
            f"model {model.name}: {model.pretrained} is no folder {looked_in(model.folder)}, the hub could not be "
            f"asked for its config, and its shape is not one of those known without it: {', '.join(SHAPES)}"
        ) from error


def model_plan(model: PlannedModel) -> str:
    """What a model is, how its fine-tuning is spread, the memory that it takes on each device, and how often it is."""
    settings, strategy = model.training, model.strategy
    arguments = pair_arguments(model.pretrained, settings)
    config = known_config(model)
    kind = family(config)
    batch = largest_batch(kind, arguments, setting(settings, "per_device_train_batch_size"))
    count, memory = planned(config, kind, arguments, strategy, batch, settings)
    own = count.total if arguments.full else count.total - count.trained
    trained = "all of them" if arguments.full else f"{parameters(count.trained)} of adapters"
    texts = f"{batch.rows} texts of {batch.tokens} tokens" + (
        f" and {batch.decoder_tokens} of the decoder's" if batch.decoder_tokens else ""
    )
    if (read := text_batch(kind, arguments, strategy.processes)) is not None:
        texts += f", and {read.rows} pieces of {arguments.text_tokens} tokens of running text"
    return "\n".join(
        (
            f"{model.called}: {model.pretrained}, {kind}, {parameters(own)} parameters, trained: {trained}",
            f"  on {strategy}; at most {texts} a step on each",
            f"  GiB on each: {_told(memory)}",
            *([f"  {told}"] if (told := trainings(model)) else []),
        )
    )


def trainings(model: PlannedModel) -> str:
    """How often a model is trained, and what is made to compare that with; "" for one training a fold and no more."""
    folds = len(folds_of(model.training))
    controls = [f"{len(one.seeds)} {one.kind} control{'s' if len(one.seeds) > 1 else ''}" for one in model.controls]
    if not model.seeds and not controls:
        return ""
    seeds = f", each with seeds {', '.join(map(str, model.seeds))}" if model.seeds else ""
    count = folds * max(1, len(model.seeds))
    told = f"{count} training{'s' if count > 1 else ''}: {folds} fold{'s' if folds > 1 else ''}{seeds}"
    return "; then ".join([told, *controls])


def planned(
    config: PretrainedConfig,
    kind: Family,
    arguments: PairArguments,
    strategy: Strategy,
    batch: Batch,
    settings: Mapping[str, Any],
) -> tuple[Parameters, Memory]:
    """The size of a model as it will be trained, and the memory of it; `settings` are those of `python -m training`."""
    model = model_to_train(config, kind, arguments)
    accumulation = int(setting(settings, "gradient_accumulation_steps"))
    memory = memory_of(model, kind, arguments, strategy, batch, accumulation, checkpoints(settings))
    return count_parameters(model), memory


def model_to_train(config: PretrainedConfig, kind: Family, arguments: PairArguments) -> nn.Module:
    """The model without its memory, with an adapter unless all of it is trained.

    The last one is kept: the methods of an experiment train one model alike, and what was traced of it holds for all.
    """
    if arguments.objective == "dropout":
        config = deepcopy(config)
        raise_dropout(config)
    adapter = None if arguments.full else [value for name, value in vars(arguments).items() if name.startswith("lora_")]
    key = (config.to_json_string(use_diff=False), kind, repr(adapter))
    if key not in _made:
        model: Any = empty_model(config, kind)
        if not arguments.full:
            with torch.device("meta"), warnings.catch_warnings():
                # PEFT tells of every GPT-2 that its layers are stored transposed.
                warnings.simplefilter("ignore")
                model = with_adapter(model, arguments, kind)
        _made.clear()
        _made[key] = model
    return _made[key]


def memory_of(
    model: nn.Module,
    kind: Family,
    arguments: PairArguments,
    strategy: Strategy,
    batch: Batch,
    accumulation: int,
    checkpointing: bool,
) -> Memory:
    """The memory of training a model that `model_to_train` made with the same `arguments`."""
    compared = OBJECTIVES[arguments.objective].base
    return training_memory(
        model,
        batch,
        strategy,
        frozen_copy=arguments.full and compared is not None,
        of_logits=3 if compared else 2,
        passes=2 if compared and not arguments.full else 1,
        accumulates=accumulation > 1,
        checkpointing=checkpointing,
        beside=text_batch(kind, arguments, strategy.processes),
    )


def text_batch(kind: Family, arguments: PairArguments, processes: int) -> Batch | None:
    """The running text that one process reads beside a step's first batch; None where it counts nothing."""
    if not arguments.text_kl_weight:
        return None
    return _of_text(kind, -(-arguments.text_chunks // processes), arguments.text_tokens)


def _of_text(kind: Family, rows: int, tokens: int) -> Batch:
    """So many pieces of running text of so many tokens."""
    if kind == "causal":
        return Batch(rows, tokens, 0, rows * tokens)
    if kind == "masked":
        return Batch(rows, tokens + SPECIAL, 0, rows * max(1, round(MASKED_SHARE * tokens)))
    hidden, spans = spans_in(tokens)
    said = hidden + spans + 1
    return Batch(rows, tokens - hidden + spans + 1, said, rows * said)


def pair_arguments(pretrained: str, settings: Mapping[str, Any]) -> PairArguments:
    """The part of a model's training settings that `python -m training` calls its own."""
    ours = {field.name for field in fields(PairArguments)}
    given = {name: value for name, value in settings.items() if name in ours and value is not None}
    for name in ("lora_target_modules", "bias_types"):
        if isinstance(alone := given.get(name), str):
            given[name] = [alone]
    return PairArguments(**{**given, "model_name_or_path": pretrained})


def largest_batch(kind: Family, arguments: PairArguments, pairs: int) -> Batch:
    """The largest step of `pairs` of the published CrowS-Pairs, or of as many texts, as the objective asks for them."""
    if arguments.objective in ON_TEXT:
        return _of_text(kind, pairs, arguments.block_tokens)
    rows, tokens = 2 * pairs, LONGEST[kind]
    if kind == "causal":
        return Batch(rows, tokens, 0, rows * (tokens - 1))
    if kind == "masked":
        if OBJECTIVES[arguments.objective].whole:
            rows = round(MASKED_ROWS_A_PAIR * pairs)
            return Batch(rows, tokens, 0, rows)
        return Batch(rows, tokens, 0, rows * MASKED_AT_ONCE)
    if arguments.seq2seq_form == "rewrite":
        return Batch(rows, tokens + INSTRUCTION_TOKENS, tokens, rows * tokens)
    return Batch(rows, tokens, LONGEST_SPANS, rows * LONGEST_SPANS)


def setting(settings: Mapping[str, Any], name: str) -> Any:
    """A setting of `python -m training`, its default where it is not given."""
    value = settings.get(name)
    return TrainingArguments.__dataclass_fields__[name].default if value is None else value


def checkpoints(settings: Mapping[str, Any]) -> bool:
    """Whether layers are computed again for the backward pass."""
    return any(settings.get(name) for name in CHECKPOINTING)


def _told(memory: Memory) -> str:
    return ", ".join(f"{part} {size / GIB:.2f}" for part, size in parts_of(memory).items())


def parts_of(memory: Memory) -> dict[str, int]:
    """The bytes on one device as a plan tells them; weights gathered from shards are among the buffers."""
    return {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "buffers": memory.buffers + memory.gathered,
        "activations": memory.activations,
        "logits": memory.logits,
        "peak": memory.peak,
    }
