"""Writes tiny models: random ones of every family, and one whose next-word probabilities are given by hand."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BOS, EOS, UNKNOWN = "<s>", "</s>", "<unk>"
# Names of config fields that masked models have in common, and those that are named otherwise.
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
MASKED_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "bert": SHAPE,
    "roberta": SHAPE,
    "albert": {**SHAPE, "embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "modernbert": {**SHAPE, "global_attn_every_n_layers": 2, "local_attention": 8},
}


def byte_llama(folder: Path, seed: int = 0, layers: int = 2, width: int = 32, window: int = 256) -> Path:
    """A random Llama over single bytes; `<s>` is token 256."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=257,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def byte_t5(folder: Path) -> Path:
    """A random T5 over single bytes."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=258,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=257,
        pad_token_id=257,
        eos_token_id=257,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def byte_bert(folder: Path) -> Path:
    """A random BERT over single bytes."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=258, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForMaskedLM(config).save_pretrained(folder)
    _byte_tokenizer().save_pretrained(folder)
    return folder


def masked(folder: Path, kind: str = "bert", tokenizer: Any = None, seed: int = 0, **config: Any) -> Path:
    """A masked model of one of `MASKED_SHAPES` with large random weights, so that every token sways every other.

    Args:
        tokenizer: by default RoBERTa gets `byte_level()`, the others `word_pieces()`.
        config: fields of the model's config.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    tokenizer = tokenizer or (byte_level() if kind == "roberta" else word_pieces())
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep")}
    shape = {"vocab_size": len(tokenizer), "max_position_embeddings": 128, **ids, **MASKED_SHAPES[kind], **config}
    _save_random(AutoModelForMaskedLM.from_config(AutoConfig.for_model(kind, **shape)), folder, seed)
    tokenizer.save_pretrained(folder)
    return folder


def classifier(folder: Path, seed: int = 0, **config: Any) -> Path:
    """A BERT of random weights that tells calm, hate and other texts apart."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    told = AutoConfig.from_pretrained(masked(folder), id2label={0: "calm", 1: "hate", 2: "other"}, **config)
    torch.manual_seed(seed)
    AutoModelForSequenceClassification.from_config(told).save_pretrained(folder)
    return folder


def t5(folder: Path, tokenizer: Any = None, seed: int = 0, **config: Any) -> Path:
    """A T5 with large random weights; its tokenizer, by default `unigram()`, has sentinels and adds the end token."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = tokenizer or unigram()
    shape = {
        "vocab_size": len(tokenizer),
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_heads": 4,
        "n_positions": 128,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    _save_random(T5ForConditionalGeneration(T5Config(**{**shape, **config})), folder, seed)
    tokenizer.save_pretrained(folder)
    return folder


def lora(
    base: Path,
    folder: Path,
    seed: int = 0,
    target_modules: str | list[str] = "all-linear",
    auto_class: str = "AutoModelForCausalLM",
) -> Path:
    """A LoRA adapter for `base` with random weights in both of its factors, so that it changes every score."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    task_type = {"AutoModelForCausalLM": "CAUSAL_LM", "AutoModelForSeq2SeqLM": "SEQ_2_SEQ_LM"}.get(auto_class)
    config = LoraConfig(r=2, target_modules=target_modules, init_lora_weights=False, task_type=task_type)
    get_peft_model(getattr(transformers, auto_class).from_pretrained(base), config).save_pretrained(folder)
    return folder


def bigram(folder: Path, following: Mapping[str, Mapping[str, float]]) -> Path:
    """A Llama whose probability of the next word depends on the current one alone, as `following[current][next]` says.

    What a row leaves of its probability is shared equally by the words that it does not name. Attention and MLP are
    zero, embeddings are unit vectors, which the norm only stretches, so that a row of logits is a row of log P.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = [BOS, EOS, UNKNOWN, *sorted({word for row in following.values() for word in row} | set(following) - {BOS})]
    size = len(words) + len(words) % 2
    words += [f"<unused {number}>" for number in range(size - len(words))]
    table = torch.full((size, size), math.nan, dtype=torch.float64)
    for current, word in enumerate(words):
        row = following.get(word, {})
        rest = (1 - sum(row.values())) / (size - len(row))
        table[:, current] = torch.tensor([row.get(word, max(rest, 1e-40)) for word in words], dtype=torch.float64)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=2,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        rms_norm_eps=1e-12,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.model.layers.parameters():
            weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.copy_(table.log() / math.sqrt(size))
    model.save_pretrained(folder)
    _word_tokenizer(words).save_pretrained(folder)
    return folder


def _byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)} | {BOS: 256, EOS: 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS)


def _word_tokenizer(words: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, unk_token=UNKNOWN)


def real_tokenizer(data: Path, name: str) -> Any:
    """A published tokenizer out of the data folder; the one of RoBERTa there does not say which token its mask is."""
    from transformers import AutoTokenizer

    marks = {"mask_token": "<mask>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    return AutoTokenizer.from_pretrained(data / "tokenizers" / name, **(marks if name == "roberta-base" else {}))


def word_pieces(lower: bool = True, special: bool = True) -> Any:
    """A WordPiece tokenizer that can spell everything: a few words and endings, and every character alone.

    Args:
        lower: as for BERT's uncased vocabulary.
        special: whether texts are put between [CLS] and [SEP].
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names["mask_token"] = "[MASK]"
    characters = string.ascii_letters + string.digits + string.punctuation
    whole = ["the", "The", "nurse", "he", "she", "was", "is", "kind", "play", "house"]
    words = [*names.values(), *characters, *whole, *("##" + piece for piece in (*characters, "ing", "ed", "keeper"))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def byte_level() -> Any:
    """RoBERTa's way with single bytes and a few words: a word after a space is another token than one without."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("h", "e"), ("Ġ", "he"), ("t", "he"), ("Ġ", "the"), ("k", "i"), ("n", "d"), ("ki", "nd"), ("Ġ", "kind")]
    words = [*names.values(), *alphabet, *("".join(merge) for merge in merges), "<mask>"]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    mask = AddedToken("<mask>", lstrip=True, special=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", mask_token=mask, **names
    )


def unigram(adds_end: bool = True, sentinels: int = 20) -> Any:
    """T5's way: a Unigram vocabulary with a mark for the space before a word, sentinels, `</s>` after a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    characters = string.ascii_letters + string.digits + string.punctuation
    words = ["▁the", "▁nurse", "▁he", "▁she", "▁was", "▁kind", "▁A", "▁B", "ing", "ed"]
    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    scored += [(character, -6.0) for character in characters] + [(word, -4.0) for word in words]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    if adds_end:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=[f"<extra_id_{number}>" for number in range(sentinels)],
    )


def _save_random(model: Any, folder: Path, seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.3, generator=generator)
    model.save_pretrained(folder)
