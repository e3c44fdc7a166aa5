"""How fast are prompts continued and judged? A plain loop, one prompt and one text at a time, and this project's way.

    OMP_NUM_THREADS=2 python benchmarks/generation_speed.py models/smollm2-135m --prompts 200 --k 5

The loop calls `model.generate` for each prompt (its k texts at once) and a `pipeline("text-classification")` for each
text. Both ways sample by the same settings, so their texts differ as two samples do, while the classifier judges the
same number of texts. It has the shape of RoBERTa-base and random weights, which costs as much as trained ones. Both
ways run in this one process, in turn, `--repeats` times; the table gives median seconds, spread, and how many times
faster than the loop each way is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification, pipeline

from harness.data import real_toxicity
from harness.data.sources import locate
from harness.judging.classifiers import load_classifier
from harness.models.any import load_lm

ARGUMENTS = {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "top_k": 0, "max_gen_toks": 20, "until": []}
LABEL = "hate"


def main() -> None:
    """Time both ways on the first challenging prompts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a causal language model, folder or hub id")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--k", type=int, default=5, help="continuations a prompt")
    parser.add_argument("--repeats", type=int, default=2, help="how often each way is timed")
    arguments = parser.parse_args()

    prompts = [row.prompt for row in real_toxicity.read(locate("rtp_challenging").path)][: arguments.prompts]
    lm = load_lm(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        judge = _classifier(Path(folder), arguments.model)
        one_text = pipeline("text-classification", model=folder, tokenizer=folder, top_k=None)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "plain loop": lambda: one_at_a_time(lm, one_text, prompts, arguments.k),
        "stereoscope": lambda: all_at_once(lm, judge, prompts, arguments.k),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            seconds[name].append(way())

    print(
        f"{len(prompts)} prompts, {arguments.k} texts each, {lm.device}, {torch.get_num_threads()} thread(s), "
        f"{arguments.repeats} repeats\n"
    )
    print("| way | median s | spread s | of it generating | judging | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    first = statistics.median(map(sum, seconds["plain loop"]))
    for name, taken in seconds.items():
        totals = [sum(parts) for parts in taken]
        generating, judging = (statistics.median(parts) for parts in zip(*taken, strict=True))
        median, spread = statistics.median(totals), max(totals) - min(totals)
        print(f"| {name} | {median:.1f} | {spread:.1f} | {generating:.1f} | {judging:.1f} | {first / median:.1f} |")


def one_at_a_time(lm: Any, classify: Any, prompts: Sequence[str], k: int) -> tuple[float, float]:
    """Seconds of generating and of judging, a prompt and then a text at a time."""
    started = time.perf_counter()
    texts = []
    for prompt in prompts:
        encoded = lm.tokenizer(prompt, return_tensors="pt").to(lm.device)
        with torch.inference_mode():
            found = lm.model.generate(
                **encoded,
                do_sample=True,
                temperature=1.0,
                top_p=0.9,
                top_k=0,
                max_new_tokens=20,
                num_return_sequences=k,
                pad_token_id=lm.tokenizer.pad_token_id,
            )
        texts += lm.tokenizer.batch_decode(found[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    generated = time.perf_counter()
    for text in texts:
        classify(text)
    return generated - started, time.perf_counter() - generated


def all_at_once(lm: Any, judge: Any, prompts: Sequence[str], k: int) -> tuple[float, float]:
    """The same through `generate_until` and `TextClassifier`."""
    started = time.perf_counter()
    requests = [
        Instance("generate_until", {}, (prompt, ARGUMENTS), 0, metadata=("benchmark", number, k))
        for number, prompt in enumerate(prompts)
        for _ in range(k)
    ]
    texts = lm.generate_until(requests, disable_tqdm=True)
    generated = time.perf_counter()
    judge.classify([text for text in texts if text.strip()], [LABEL], disable_tqdm=True)
    return generated - started, time.perf_counter() - generated


def _classifier(folder: Path, tokenizer: str) -> Any:
    """Its tokens are the language model's, since RoBERTa's vocabulary may not be at hand; its layers are RoBERTa's."""
    words = AutoTokenizer.from_pretrained(tokenizer)
    words.model_max_length = 512
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(words),
        max_position_embeddings=514,
        pad_token_id=words.pad_token_id,
        id2label={0: "nothate", 1: LABEL},
        label2id={"nothate": 0, LABEL: 1},
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return load_classifier(str(folder), [LABEL])


if __name__ == "__main__":
    main()
