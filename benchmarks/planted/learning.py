"""Training on a corpus of which every probability is known: towards its own conditional distributions.

A sentence says one word where the corpus has several, each in its share. The loss here is the cross-entropy with those
shares in place of the one word, less their entropy. Its gradient is that of ordinary training without the noise of the
draw, and its value is KL(corpus || model): 0 when there is nothing left to learn, which says when to stop.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.data.families import Family
from harness.storage.files import atomic_write
from planted.corpus import Conditionals, Corpus
from planted.models import KINDS, log_probabilities, random_model, word_tokenizer

MOST_ROUNDS = 4
WARMUP = 0.07
CERTAIN_WEIGHT = 0.1
"""How often a word that follows from the others is asked for, against one that does not (masked, encoder-decoder)."""
LEARNT = 0.004
"""Nats a sentence between model and corpus at which the corpus counts as learnt."""

log = logging.getLogger(__name__)


class Round(NamedTuple):
    """Steps, sentences a step, the highest learning rate, and the last share of the steps, in which it falls to 0."""

    steps: int
    batch: int
    learning_rate: float
    decay: float


LEARN = Round(1200, 128, 5e-3, 0.4)
# What a model has not learnt yet it lacks for all pairs alike, so that no interval over pairs would tell of it.
SETTLE = Round(300, 256, 2e-3, 0.7)


class Lessons(NamedTuple):
    """A corpus as tensors: n sentences of T words, C contexts of words, V words in the vocabulary.

    `sentences` [n, T] token ids; `shares` [n], those of the sentences; `contexts` [n, T], the number of each word's
    context; `distributions` [C, V], of the word in each context; `entropies` [C], of those, in nats.
    """

    sentences: Tensor
    shares: Tensor
    contexts: Tensor
    distributions: Tensor
    entropies: Tensor


def lessons_of(corpus: Corpus, family: Family, tokenizer: PreTrainedTokenizerFast) -> Lessons:
    """The corpus as a model of the family reads it: a causal model the words before, others all the other words."""
    conditionals = Conditionals(corpus, "before" if family == "causal" else "around")
    number = {context: place for place, context in enumerate(conditionals.counts)}
    distributions = torch.zeros(len(number), len(tokenizer), dtype=torch.float64)
    for context, words in conditionals.counts.items():
        ids = tokenizer.convert_tokens_to_ids(list(words))
        distributions[number[context], ids] = torch.tensor(list(words.values()), dtype=torch.float64) / words.total()
    counts = torch.tensor(list(corpus.counts.values()), dtype=torch.float64)
    return Lessons(
        torch.tensor([tokenizer.convert_tokens_to_ids(list(sentence)) for sentence in corpus.counts]),
        (counts / counts.sum()).float(),
        torch.tensor([[number[conditionals.context(s, place)] for place in range(len(s))] for s in corpus.counts]),
        distributions.float(),
        -torch.xlogy(distributions, distributions).sum(1).float(),
    )


def train_and_save(name: str, corpus: Corpus, folder: Path, seed: int) -> None:
    """Write a model of the kind `name` that has learnt the corpus, with its tokenizer, as a plain transformers folder.

    Does nothing where the folder holds what the same arguments gave.
    """
    plan = {"kind": name, "share": corpus.share, "odds": corpus.odds, "seed": seed}
    mark = folder / "planted.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == plan:
        log.info("%s is there already", folder)
        return
    family = KINDS[name].family
    tokenizer = word_tokenizer(KINDS[name], corpus.words)
    model = random_model(name, tokenizer, seed)
    learn(model, family, tokenizer, lessons_of(corpus, family, tokenizer), seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    atomic_write(mark, json.dumps(plan) + "\n")


def learn(
    model: PreTrainedModel, family: Family, tokenizer: PreTrainedTokenizerFast, lessons: Lessons, seed: int
) -> float:
    """Train the model until it has learnt the corpus, in rounds of `LEARN`, and settle it.

    Returns:
        KL(corpus || model) that is left, as `left_to_learn`.

    Raises:
        RuntimeError: it is above `LEARNT` after `MOST_ROUNDS` rounds.
    """
    generator = torch.Generator().manual_seed(seed)
    started = time.monotonic()
    for turn in range(1, MOST_ROUNDS + 1):
        _round(model, family, tokenizer, lessons, LEARN, generator)
        left = left_to_learn(model, family, tokenizer, lessons)
        log.info("%s: %.5f nats to learn after %d steps", model.config.model_type, left, turn * LEARN.steps)
        if left <= LEARNT:
            _round(model, family, tokenizer, lessons, SETTLE, generator)
            left = left_to_learn(model, family, tokenizer, lessons)
            log.info("%s: learnt but %.5f nats in %.0f s", model.config.model_type, left, time.monotonic() - started)
            return left
    raise RuntimeError(
        f"{model.config.model_type}: {left:.5f} nats a sentence are left to learn after "
        f"{MOST_ROUNDS * LEARN.steps} steps, expected {LEARNT} at most; its scores would not be those of the corpus"
    )


def _round(
    model: PreTrainedModel,
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    lessons: Lessons,
    settings: Round,
    generator: torch.Generator,
) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(settings.steps):
        done = step / settings.steps
        slope = min(1, (done + 1 / settings.steps) / WARMUP, (1 - done) / settings.decay)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * slope
        rows = torch.multinomial(lessons.shares, settings.batch, replacement=True, generator=generator)
        loss = _divergences(model, family, tokenizer, lessons, rows, _drawn(lessons, rows, generator)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def left_to_learn(
    model: PreTrainedModel, family: Family, tokenizer: PreTrainedTokenizerFast, lessons: Lessons
) -> float:
    """Mean over the corpus of KL(corpus || model) in nats: summed over a sentence's words (causal), or over those words
    that do not follow from the others, one hidden at a time.
    """
    model.eval()
    every = torch.arange(len(lessons.sentences))
    if family == "causal":
        places = [torch.zeros(len(every), 0, dtype=torch.long)]
    else:
        uncertain = (lessons.entropies[lessons.contexts] > 0).nonzero()[:, 1].reshape(len(every), -1)
        places = list(uncertain.split(1, dim=1))
    total = 0.0
    for which in places:
        for rows, its in zip(every.split(1024), which.split(1024), strict=True):
            divergences = _divergences(model, family, tokenizer, lessons, rows, its)
            total += float((divergences * lessons.shares[rows]).sum())
    return total


def _drawn(lessons: Lessons, rows: Tensor, generator: torch.Generator) -> Tensor:
    """[B, 1]: for each row the word that is asked for, mostly one that does not follow from the others."""
    certain = lessons.entropies[lessons.contexts[rows]] == 0
    return torch.multinomial(torch.where(certain, CERTAIN_WEIGHT, 1.0), 1, generator=generator)


def _divergences(
    model: PreTrainedModel,
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    lessons: Lessons,
    rows: Tensor,
    places: Tensor,
) -> Tensor:
    """[B]: KL(corpus || model) of the words at `places` [B, 1], or for a causal model of all words, in nats."""
    log_p, must_follow = log_probabilities(model, family, tokenizer, lessons.sentences[rows], places)
    contexts = lessons.contexts[rows] if family == "causal" else lessons.contexts[rows].gather(1, places)
    cross_entropies = -(lessons.distributions[contexts] * log_p).sum(-1)
    return (cross_entropies - lessons.entropies[contexts]).sum(-1) - must_follow
