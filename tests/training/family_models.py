"""Tiny random models of every family; the byte-level tokenizers are trained on the built-in pairs, so text decodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data import crows_pairs
from harness.data.sources import SAMPLE

FAMILIES = {
    "llama": "causal",
    "gpt2": "causal",
    "bloom": "causal",
    "bert": "masked",
    "roberta": "masked",
    "t5": "seq2seq",
    "flan-t5": "seq2seq",
}
SPECIAL = {
    "causal": ["<s>", "</s>"],
    "masked": ["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
    "seq2seq": ["<pad>", "</s>", *(f"<extra_id_{number}>" for number in range(8))],
}


def sample_pairs() -> list[crows_pairs.Pair]:
    """The pairs that come with the package."""
    return crows_pairs.read(SAMPLE / "crows_pairs" / "crows_pairs_anonymized.csv")


def write(folder: Path, kind: str, dropout: float = 0.0) -> Path:
    """A model of two small layers and its tokenizer; windows are 64 tokens wide.

    `flan-t5` has a gated feed-forward layer and an output head of its own, as T5 v1.1 has.
    """
    import torch

    tokenizer = _tokenizer(FAMILIES[kind])
    torch.manual_seed(0)
    model = _model(kind, len(tokenizer), dropout)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _model(kind: str, vocabulary: int, dropout: float) -> Any:
    import transformers as hf

    bert = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.2,
        "pad_token_id": 0,
    }
    if kind == "bert":
        return hf.BertForMaskedLM(hf.BertConfig(max_position_embeddings=64, **bert))
    if kind == "roberta":
        # Positions start after the padding id, 0: the 65th is the last.
        return hf.RobertaForMaskedLM(hf.RobertaConfig(max_position_embeddings=65, **bert))
    if kind == "llama":
        llama = {name: value for name, value in bert.items() if "dropout" not in name and name != "initializer_range"}
        return hf.LlamaForCausalLM(hf.LlamaConfig(max_position_embeddings=64, num_key_value_heads=2, **llama))
    if kind == "gpt2":
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        shape = {"vocab_size": vocabulary, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
        return hf.GPT2LMHeadModel(hf.GPT2Config(**shape, **drops, bos_token_id=0, eos_token_id=1))
    if kind == "bloom":
        shape = {"vocab_size": vocabulary, "hidden_size": 32, "n_layer": 2, "n_head": 4}
        return hf.BloomForCausalLM(hf.BloomConfig(**shape, hidden_dropout=dropout, bos_token_id=0, eos_token_id=1))
    own_head = kind == "flan-t5"
    config = hf.T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=dropout,
        initializer_factor=0.5,
        feed_forward_proj="gated-gelu" if own_head else "relu",
        tie_word_embeddings=not own_head,
        n_positions=64,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = hf.T5ForConditionalGeneration(config)
    if own_head:
        import torch

        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    return model


def _tokenizer(family: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = SPECIAL[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for pair in sample_pairs() for text in (pair.sent_more, pair.sent_less)]
    tokenizer.train_from_iterator(texts, trainer)
    if family == "causal":
        # As GPT-2: no padding token, and none that is put around a text.
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    if family == "masked":
        ends = [("[CLS]", 1), ("[SEP]", 2)]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
        )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", extra_special_tokens=special[2:]
    )
