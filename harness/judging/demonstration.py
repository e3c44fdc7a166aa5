"""A classifier trained on the spot from the built-in labelled sentences, so that everything runs without a hub.

It has read some hundred sentences and knows which of their words stood under which label. What it says of a text shows
that the machinery works and nothing about the text; reports name it as what it is.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from functools import cache

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from harness.data.sources import SAMPLE
from harness.judging.text_classifier import TextClassifier
from harness.storage.files import sha256_file

log = logging.getLogger(__name__)

DEMONSTRATION = "demonstration"
SENTENCES = SAMPLE / "classifier" / "labelled.tsv"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]")
STEPS = 120
WIDTH = 48


@cache
def demonstration_classifier(labels: tuple[str, ...]) -> TextClassifier:
    """A one-layer BERT over words, trained in seconds on the column of the sentences that has these labels.

    Raises:
        ValueError: no column has them.
    """
    with SENTENCES.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = {column: list(dict.fromkeys(row[column] for row in rows)) for column in ("toxicity", "regard")}
    column = next((name for name, known in found.items() if set(labels) <= set(known)), None)
    if column is None:
        told = "; ".join(f"{name}: {', '.join(known)}" for name, known in found.items())
        raise ValueError(f"classifier {DEMONSTRATION}: no labels {', '.join(labels)}; it has {told}")
    known = found[column]
    texts, targets = [row["text"] for row in rows], torch.tensor([known.index(row[column]) for row in rows])
    tokenizer = _tokenizer(texts)
    # On one thread, so that sums round alike wherever it is trained.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = _trained(tokenizer, texts, targets, known)
    finally:
        torch.set_num_threads(threads)
    return TextClassifier(f"{DEMONSTRATION} classifier", model, tokenizer, sha256_file(SENTENCES))


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A token a word of the sentences, lower-cased and without marks; any other word is unknown."""
    normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(r"[^\w']+"), behavior="removed")
    counts = Counter(
        word for text in texts for word, _ in words.pre_tokenize_str(normalizer.normalize_str(text)) if word
    )
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *sorted(counts)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=64
    )


def _trained(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], targets: torch.Tensor, labels: list[str]
) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=64,
        hidden_dropout_prob=0.2,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config)
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    model.train()
    for _ in range(STEPS):
        # Words are hidden at random, so that no single one decides.
        hidden = (torch.rand(encoded["input_ids"].shape) < 0.15) & (encoded["input_ids"] >= len(SPECIAL))
        ids = encoded["input_ids"].masked_fill(hidden, tokenizer.unk_token_id)
        logits = model(input_ids=ids, attention_mask=encoded["attention_mask"]).logits
        # Smoothed, since a few words of a few sentences are never certain.
        loss: torch.Tensor = cross_entropy(logits, targets, label_smoothing=0.2)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    log.info("demonstration classifier for %s: trained on %d built-in sentences", ", ".join(labels), len(texts))
    return model.eval()
