"""How fast are masked models scored? A plain loop, one mask and one text at a time, and this project's `hf-masked`.

    OMP_NUM_THREADS=2 python benchmarks/masked_speed.py --pairs 30

The model has the shape of BERT-base and random weights, which costs as much as trained ones. Both ways score the same
sentences in this one process, in turn, `--repeats` times; the table gives the median seconds, the spread, sentences a
second, the largest difference between their scores, and how many times faster than the loop each way is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.models.masked import MaskedLM


def main() -> None:
    """Time both ways on the first pairs of CrowS-Pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", default=_vocabulary(), help="a BERT tokenizer, folder or hub id")
    parser.add_argument("--pairs", type=int, default=30, help="how many pairs of sentences to score")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is timed")
    arguments = parser.parse_args()

    pairs = crows_pairs.read(locate("crows_pairs").path)[: arguments.pairs]
    texts = [text for pair in pairs for text in (pair.sent_more, pair.sent_less)]
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        lm = MaskedLM(folder)
    ways: dict[str, Callable[[], list[float]]] = {
        "plain loop": lambda: [one_mask_at_a_time(lm.model, tokenizer, text) for text in texts],
        "hf-masked": lambda: batched(lm, texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {}
    for _ in range(arguments.repeats):
        for name, score in ways.items():
            started = time.perf_counter()
            scores[name] = score()
            seconds[name].append(time.perf_counter() - started)

    print(f"{len(texts)} sentences, {lm.device}, {torch.get_num_threads()} thread(s), {arguments.repeats} repeats\n")
    print("| way | median s | spread s | sentences/s | largest difference | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    first, *_ = ways
    for name, taken in seconds.items():
        median, spread = statistics.median(taken), max(taken) - min(taken)
        apart = max(abs(left - right) for left, right in zip(scores[first], scores[name], strict=True))
        faster = statistics.median(seconds[first]) / median
        print(f"| {name} | {median:.1f} | {spread:.1f} | {len(texts) / median:.1f} | {apart:.1e} | {faster:.1f} |")


@torch.inference_mode()
def one_mask_at_a_time(model: Any, tokenizer: Any, text: str) -> float:
    """Pseudo-log-likelihood as its definition says: a pass through the whole model for every token."""
    ids = tokenizer(text, return_tensors="pt").to(model.device)["input_ids"]
    total = 0.0
    for place in range(1, ids.shape[1] - 1):
        masked = ids.clone()
        masked[0, place] = tokenizer.mask_token_id
        total += float(model(input_ids=masked).logits[0, place].log_softmax(-1)[ids[0, place]])
    return total


def batched(lm: MaskedLM, texts: Sequence[str]) -> list[float]:
    """The same through `hf-masked`."""
    requests = [Instance("loglikelihood", {}, ("", text), number) for number, text in enumerate(texts)]
    return [logprob for logprob, _ in lm.loglikelihood(requests, disable_tqdm=True)]


def _vocabulary() -> str:
    """The published vocabulary in the data folder where there is one, else its hub id."""
    folder = Path(os.environ.get("STEREOSCOPE_DATA", "")) / "tokenizers" / "bert-base-uncased"
    return str(folder) if folder.is_dir() else "google-bert/bert-base-uncased"


if __name__ == "__main__":
    main()
