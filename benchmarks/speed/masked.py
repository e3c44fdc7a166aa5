"""Pseudo-log-likelihoods: one mask and one text at a time, and this project's `hf-masked`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.models.masked import MaskedLM
from speed.contest import Contest, Way


def masked(pairs: int) -> Contest:
    """A model of the shape of BERT-base, random weights, which cost as much as trained ones."""

    def ways() -> Mapping[str, Way]:
        texts = [
            text
            for pair in crows_pairs.read(locate("crows_pairs").path)[:pairs]
            for text in (pair.sent_more, pair.sent_less)
        ]
        tokenizer = AutoTokenizer.from_pretrained(_vocabulary())
        folder = tempfile.mkdtemp()
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        lm = MaskedLM(folder)
        asked = [Instance("loglikelihood", {}, ("", text), number) for number, text in enumerate(texts)]
        return {
            "one mask at a time": lambda: [one_mask_at_a_time(lm.model, tokenizer, text) for text in texts],
            "hf-masked": lambda: [logprob for logprob, _ in lm.loglikelihood(asked, disable_tqdm=True)],
        }

    return Contest("masked", f"crows_pairs, {pairs} pairs, BERT-base's shape", ">= 5", ways)


@torch.inference_mode()
def one_mask_at_a_time(model: Any, tokenizer: Any, text: str) -> float:
    """Pseudo-log-likelihood as its definition says: a pass through the whole model for every token."""
    ids = tokenizer(text, return_tensors="pt").to(model.device)["input_ids"]
    total = 0.0
    for place in range(1, ids.shape[1] - 1):
        masked_ids = ids.clone()
        masked_ids[0, place] = tokenizer.mask_token_id
        total += float(model(input_ids=masked_ids).logits[0, place].log_softmax(-1)[ids[0, place]])
    return total


def _vocabulary() -> str:
    """The published vocabulary in the data folder where there is one, else its hub id."""
    folder = Path(os.environ.get("STEREOSCOPE_DATA", "")) / "tokenizers" / "bert-base-uncased"
    return str(folder) if folder.is_dir() else "google-bert/bert-base-uncased"
