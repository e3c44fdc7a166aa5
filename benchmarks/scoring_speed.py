"""How fast are likelihoods scored? lm-eval's `hf` one sentence at a time and batched, and this project's `hf-causal`.

    python benchmarks/scoring_speed.py --pretrained models/smollm2-135m --sentences 400

All three score the same sentences in this one process, in turn, `--repeats` times; the table gives the median seconds,
the spread, sentences a second, and the largest difference between the log-probabilities.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.models.causal import CausalLM


def main() -> None:
    """Time each way of scoring on the first sentences of CrowS-Pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", default="models/smollm2-135m", help="model folder or hub id")
    parser.add_argument("--sentences", type=int, default=400, help="how many sentences to score")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is timed")
    parser.add_argument("--batch_size", type=int, default=64, help="of lm-eval's batched way")
    arguments = parser.parse_args()

    data = locate("crows_pairs")
    texts = [text for pair in crows_pairs.read(data.path) for text in (pair.sent_more, pair.sent_less)]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=("", text), idx=index)
        for index, text in enumerate(texts[: arguments.sentences])
    ]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # hf-causal is built last: on a CPU it changes how this process keeps memory, which the others should not gain from.
    ways: dict[str, Callable[[], Any]] = {
        "hf, batch_size 1": lambda: HFLM(arguments.pretrained, dtype="float32", device=device, batch_size=1),
        f"hf, batch_size {arguments.batch_size}": lambda: HFLM(
            arguments.pretrained, dtype="float32", device=device, batch_size=arguments.batch_size
        ),
        "hf-causal": lambda: CausalLM(arguments.pretrained, device=device),
    }
    print(f"{len(requests)} sentences, {device}, {torch.get_num_threads()} thread(s), {arguments.repeats} repeats\n")
    print("| way | median s | spread s | sentences/s | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    reference: list[float] = []
    for name, build in ways.items():
        lm = build()
        seconds = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            answers = [logprob for logprob, _ in lm.loglikelihood(requests, disable_tqdm=True)]
            seconds.append(time.perf_counter() - started)
        reference = reference or answers
        difference = max(abs(left - right) for left, right in zip(reference, answers, strict=True))
        median = statistics.median(seconds)
        spread = max(seconds) - min(seconds)
        print(f"| {name} | {median:.1f} | {spread:.1f} | {len(requests) / median:.1f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
