"""A training step: sentences padded to 50 tokens, this project's batches of one length, and the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.models.head import logits_at
from harness.models.prefix_tree import additive
from speed.contest import Contest, Way
from training import objectives
from training.causal_pairs import SharedPrefixCollator
from training.families import rows_of
from training.pair_arguments import PairArguments
from training.pairs import PairCollator, PairDataset, PairInEpoch

PAIRS, STEPS, PADDED = 16, 4, 50


def training(model: Path, folder: Path) -> Contest:
    """The objective `both` with LoRA on attention: forward and backward of a few steps of 16 pairs."""

    def ways() -> Mapping[str, Way]:
        tokenizer = AutoTokenizer.from_pretrained(model)
        config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        trained = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).train()
        pairs = crows_pairs.read(locate("crows_pairs").path)
        arguments = PairArguments(str(model), objective="both")
        dataset = PairDataset(pairs, rows_of(arguments, "causal", tokenizer, 0), 2048)
        by_length = sorted(range(len(dataset)), key=lambda number: dataset.lengths[number])
        starts = [len(dataset) * (2 * step + 1) // (2 * STEPS) for step in range(STEPS)]
        batches = [[dataset[PairInEpoch(number, 0)] for number in by_length[start : start + PAIRS]] for start in starts]
        texts = [
            [text for number in by_length[start : start + PAIRS] for text in _sentences(pairs[number])]
            for start in starts
        ]
        padded = [_padded(tokenizer, one) for one in texts]
        return {
            f"padded to {PADDED} tokens": lambda: _padded_steps(trained, padded),
            "this project's step": lambda: _steps(trained, SharedPrefixCollator(), batches),
            "this project's step, share_prefixes=False": lambda: _steps(trained, PairCollator(0), batches),
            "limit: forward and backward over the distinct positions": lambda: _bare(trained, batches),
        }

    return Contest("training", f"{STEPS} steps of {PAIRS} pairs, LoRA", ">= 2", ways)


def _sentences(pair: crows_pairs.Pair) -> tuple[str, str]:
    return pair.sent_more, pair.sent_less


def _padded(tokenizer: Any, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    found = tokenizer(list(texts), return_tensors="pt", padding="max_length", max_length=PADDED, truncation=True)
    return {**found, "labels": found["input_ids"].masked_fill(found["attention_mask"] == 0, -100)}


def _padded_steps(model: Any, batches: Sequence[Mapping[str, Any]]) -> None:
    for batch in batches:
        model(**batch).loss.backward()
        model.zero_grad()


def _steps(model: Any, collate: PairCollator | SharedPrefixCollator, batches: Sequence[Any]) -> None:
    for batch in batches:
        inputs = collate(batch)
        scored = inputs.pop("scored")
        if (seen := inputs["attention_mask"]).dtype == torch.bool:
            inputs["attention_mask"] = additive(seen, torch.float32)
        logits = logits_at(model, scored["row"], scored["column"], **inputs)
        logprobs, _ = objectives.predictions(logits, scored["target"], None)
        sums = objectives.sentence_sums(logprobs[scored["place"]], scored["owner"], 2 * scored["pairs"])
        counts = objectives.sentence_sums(
            torch.ones_like(logprobs[scored["place"]]), scored["owner"], 2 * scored["pairs"]
        )
        objectives.both(sums, counts).loss.sum().backward()
        model.zero_grad()


def _bare(model: Any, batches: Sequence[Any]) -> None:
    """As many positions as pairs have distinct ones, without a sum or a loss of any meaning."""
    for batch in batches:
        positions = 0
        for pair in batch:
            more, less = (row.inputs["input_ids"] for row in (pair.more[0], pair.less[0]))
            shared = next(
                (place for place, ids in enumerate(zip(more, less, strict=False)) if ids[0] != ids[1]), len(less)
            )
            positions += len(more) + len(less) - shared
        ids = torch.randint(1000, (2 * PAIRS, max(1, round(positions / (2 * PAIRS)))))
        logits = model(input_ids=ids, use_cache=False).logits
        logits.logsumexp(-1).sum().backward()
        model.zero_grad()
