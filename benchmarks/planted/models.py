"""A tiny model of each kind with random weights and a tokenizer of whole words, as transformers folders have them.

`log_probabilities` asks each kind for the words of a sentence in the very form in which it is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from harness.data.families import Family
from harness.data.infill import sentinel

WIDTH, LAYERS, HEADS, POSITIONS = 32, 1, 4, 64
# Far wider than usual: from 0.02 a model this narrow takes thousands of steps to tell words apart.
INITIALIZER_RANGE = 0.1

PAD, START, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SENTINELS = tuple(sentinel(number) for number in range(10))


class Kind(NamedTuple):
    """An architecture: its family, its special tokens by role, what a text stands between, and its model."""

    family: Family
    special: Mapping[str, str]
    template: str
    model: Callable[[PreTrainedTokenizerFast], PreTrainedModel]


def gpt2(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A GPT-2 of random weights."""
    return GPT2LMHeadModel(
        GPT2Config(
            n_positions=POSITIONS,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=INITIALIZER_RANGE,
            **_ids(tokenizer, "bos", "eos", "pad"),
        )
    )


def bloom(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A BLOOM of random weights."""
    return BloomForCausalLM(
        BloomConfig(
            hidden_size=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            initializer_range=INITIALIZER_RANGE,
            **_ids(tokenizer, "bos", "eos", "pad"),
        )
    )


def bert(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A BERT of random weights."""
    return BertForMaskedLM(
        BertConfig(
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            max_position_embeddings=POSITIONS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=INITIALIZER_RANGE,
            **_ids(tokenizer, "pad"),
        )
    )


def t5(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A T5 of random weights."""
    return T5ForConditionalGeneration(
        T5Config(
            d_model=WIDTH,
            d_kv=WIDTH // HEADS,
            d_ff=4 * WIDTH,
            num_layers=LAYERS,
            num_heads=HEADS,
            dropout_rate=0.0,
            decoder_start_token_id=tokenizer.pad_token_id,
            **_ids(tokenizer, "eos", "pad"),
        )
    )


_CAUSAL = {"bos_token": START, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
KINDS: Mapping[str, Kind] = {
    "gpt2": Kind("causal", _CAUSAL, "$A", gpt2),
    "bert": Kind(
        "masked",
        {
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
        },
        "[CLS] $A [SEP]",
        bert,
    ),
    "t5": Kind("seq2seq", {"eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}, f"$A {END}", t5),
    "bloom": Kind("causal", _CAUSAL, "$A", bloom),
}


def word_tokenizer(kind: Kind, words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A fast tokenizer with a token for each of the words and for the special tokens that the kind of model needs."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    sentinels = SENTINELS if kind.family == "seq2seq" else ()
    special = [*kind.special.values(), *sentinels]
    numbers = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=kind.special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [(word, numbers[word]) for word in kind.template.split() if word != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=kind.template, special_tokens=around)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **kind.special,
        **({"extra_special_tokens": list(sentinels)} if sentinels else {}),
    )


def log_probabilities(
    model: PreTrainedModel, family: Family, tokenizer: PreTrainedTokenizerFast, sentences: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """What a model says of the words of sentences, in nats.

    Args:
        sentences: [B, T] token ids without special tokens.
        places: [B, P] which words are asked for. A causal model is asked for all of them in any case; the others for
            one (P = 1), with nothing else hidden.

    Returns:
        [B, P, V] log-probabilities of every word at those places, and [B] that of what must follow: the sentinels and
        the end token of an encoder-decoder, else 0.
    """
    size = len(sentences)
    nothing_else = sentences.new_zeros(size, dtype=torch.float32)

    def column(token: int | None) -> Tensor:
        return sentences.new_full((size, 1), token)

    if family == "causal":
        read = torch.cat([column(tokenizer.bos_token_id), sentences[:, :-1]], 1)
        return model(input_ids=read).logits.log_softmax(-1), nothing_else
    if family == "masked":
        hidden = sentences.scatter(1, places, tokenizer.mask_token_id)
        read = torch.cat([column(tokenizer.cls_token_id), hidden, column(tokenizer.sep_token_id)], 1)
        logits = model(input_ids=read).logits[torch.arange(size), places[:, 0] + 1]
        return logits[:, None].log_softmax(-1), nothing_else
    first, last = (tokenizer.convert_tokens_to_ids(name) for name in SENTINELS[:2])
    read = torch.cat([sentences.scatter(1, places, first), column(tokenizer.eos_token_id)], 1)
    labels = torch.cat([column(first), sentences.gather(1, places), column(last), column(tokenizer.eos_token_id)], 1)
    log_p = model(input_ids=read, labels=labels).logits.log_softmax(-1)
    labelled = log_p.gather(2, labels[:, :, None])[:, :, 0]
    return log_p[:, 1:2], labelled[:, 0] + labelled[:, 2] + labelled[:, 3]


def random_model(name: str, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A model of the kind `name` with random weights."""
    torch.manual_seed(seed)
    return KINDS[name].model(tokenizer)


def _ids(tokenizer: PreTrainedTokenizerFast, *roles: str) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        **{f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in roles},
    }
