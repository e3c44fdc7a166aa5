"""What fine-tuning does differently for causal, masked and encoder-decoder models: loading, rows, adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from harness.data.families import Family
from harness.data.families import family as family_of_config
from harness.data.infill import require_sentinels
from harness.data.masked_text import require_mask
from harness.data.tokens import decoder_start_token_id, load_tokens
from harness.models.embedded import padding_id
from harness.storage.weights import require_safe_weights
from training.causal_pairs import CausalRows, SharedPrefixCollator, reads_trees
from training.config import TrainingArguments
from training.counterfactual_text import texts_of
from training.dropout import raise_dropout, raised
from training.masked_pairs import MaskedLanguageRows, PseudoLikelihoodRows
from training.objectives import OBJECTIVES
from training.pair_arguments import ON_TEXT, PairArguments
from training.pairs import Collator, PairCollator, RowsOf
from training.running_text import text_file
from training.seq2seq_pairs import Seq2SeqRows

AUTO_CLASSES: Mapping[Family, Any] = {
    "causal": AutoModelForCausalLM,
    "masked": AutoModelForMaskedLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
PEFT_TASKS: Mapping[Family, str | None] = {"causal": "CAUSAL_LM", "masked": None, "seq2seq": "SEQ_2_SEQ_LM"}
T5_TYPES = ("t5", "mt5", "umt5")


def load_model(arguments: PairArguments, family: Family) -> PreTrainedModel:
    """The model in fp32; no remote code, and no pickled weights unless allowed."""
    name = arguments.model_name_or_path
    require_safe_weights(name, arguments.allow_pickle)
    config = AutoConfig.from_pretrained(name)
    if arguments.objective == "dropout":
        raise_dropout(config)
    # A plain load ties an output head to the embeddings only where the file's are equal. Under ZeRO-3 weights come in
    # parts, which cannot be compared, and T5 v1.1 (FLAN-T5) would silently lose its own.
    keep_head = is_deepspeed_zero3_enabled() and has_own_head(config)
    if keep_head:
        config.tie_word_embeddings = False
    model = AUTO_CLASSES[family].from_pretrained(
        name, config=config, dtype=torch.float32, use_safetensors=None if arguments.allow_pickle else True
    )
    if keep_head:
        model.set_input_embeddings(model.shared)
    if is_deepspeed_zero3_enabled():
        # Loaded in parts, BERT would be saved under its legacy names (`LayerNorm.gamma`), unlike after a plain load.
        model._weight_conversions = None
    return model


def has_own_head(config: PreTrainedConfig) -> bool:
    """Whether a model is of the T5 kinds whose output head is not its embeddings: v1.1, FLAN, mT5, umT5."""
    return config.model_type in ("mt5", "umt5") or (config.model_type == "t5" and not config.scale_decoder_outputs)


def rows_of(arguments: PairArguments, family: Family, tokenizer: PreTrainedTokenizerBase, seed: int) -> RowsOf:
    """How the family is asked for a pair.

    Raises:
        ValueError: the tokenizer lacks what the family needs: a start token, a mask token, sentinel tokens.
    """
    name = arguments.model_name_or_path
    if family == "causal":
        start = load_tokens({"pretrained": name, "prefix_token_id": arguments.start_token_id}).start[1]
        return CausalRows(tokenizer, start)
    if family == "masked":
        require_mask(tokenizer)
        if OBJECTIVES[arguments.objective].whole:
            return PseudoLikelihoodRows(tokenizer, arguments.balanced_tokens)
        return MaskedLanguageRows(tokenizer, seed)
    if arguments.seq2seq_form == "infill":
        require_sentinels(tokenizer, "seq2seq_form=infill (`rewrite` needs none)")
    return Seq2SeqRows(tokenizer, decoder_start_token_id({"pretrained": name}), arguments.seq2seq_form)


def collator_of(
    arguments: PairArguments, family: Family, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, longest: int
) -> Collator:
    """How pairs become a batch: of causal models as trees, where the model reads them.

    Args:
        model: as it was loaded, without an adapter.
        longest: tokens of the longest text.
    """
    if family == "causal" and arguments.share_prefixes and reads_trees(model, longest):
        return SharedPrefixCollator()
    return PairCollator(padding_id(tokenizer, model))


def with_adapter(model: PreTrainedModel, arguments: PairArguments, family: Family) -> PeftModel:
    """The model frozen, with a new LoRA adapter; `all-linear` is every linear layer but the vocabulary head."""
    targets = arguments.lora_target_modules
    return get_peft_model(
        model,
        LoraConfig(
            r=arguments.lora_r,
            lora_alpha=arguments.lora_alpha,
            lora_dropout=arguments.lora_dropout,
            target_modules=targets[0] if targets == ["all-linear"] else targets,
            task_type=PEFT_TASKS[family],
        ),
        # In the base's own type: fp32 adapters on an fp16 base, which ZeRO-3 loads, would go without loss scaling.
        autocast_adapter_dtype=False,
    )


def require_fitting(arguments: PairArguments, training_arguments: TrainingArguments, family: Family) -> None:
    """Refuse settings that the family cannot be trained with, before anything is written.

    Raises:
        ValueError: says which setting, and what to set instead.
    """
    name = arguments.model_name_or_path
    config = AutoConfig.from_pretrained(name)
    require_readable(arguments, config)
    if arguments.start_token_id is not None and family != "causal":
        raise ValueError(
            f"start_token_id={arguments.start_token_id}: {name} is a {family} model, whose texts start as its own "
            "tokenizer and config say; leave start_token_id out"
        )
    if config.model_type in T5_TYPES and in_fp16(training_arguments):
        raise ValueError(f"{name} in fp16: T5's feed-forward layers overflow there; train it in fp32 or with bf16")


def require_readable(arguments: PairArguments, config: PreTrainedConfig) -> None:
    """Refuse settings that mean nothing for a model with such a config, and a text that is not to be trained on.

    Raises:
        FileNotFoundError: there is no such text.
        ValueError: says which setting, and why.
    """
    if arguments.objective in ON_TEXT:
        texts_of(arguments, seed=0)
    elif arguments.text_kl_weight:
        text_file(arguments)
    if arguments.objective == "dropout":
        raised(config)
    family = family_of_config(config)
    if not arguments.end_weight:
        return
    asked = f"end_weight={arguments.end_weight:g}: {arguments.model_name_or_path} is"
    if family == "masked":
        raise ValueError(
            f"{asked} a masked model, which reads a sentence from both sides: nothing comes after the words that "
            "differ. balanced_tokens=all balances all that the sentences share; leave end_weight out"
        )
    if family == "seq2seq" and arguments.seq2seq_form == "infill":
        raise ValueError(
            f"{asked} an encoder-decoder, which with seq2seq_form=infill is asked for the words that differ alone: "
            "there is no shared end. Take seq2seq_form=rewrite, or leave end_weight out"
        )


def in_fp16(arguments: TrainingArguments) -> bool:
    """Whether flags, the accelerate config or the DeepSpeed config ask for fp16."""
    deepspeed = arguments.deepspeed_plugin.deepspeed_config if arguments.deepspeed_plugin else {}
    return arguments.mixed_precision == "fp16" or deepspeed.get("fp16", {}).get("enabled") is True
