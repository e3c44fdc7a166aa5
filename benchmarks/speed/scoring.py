"""Likelihoods of causal models: lm-eval's `hf` at its best batch, this project's way, the plain way, and the limit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from harness.models.asked import trees
from harness.models.causal import CausalLM
from harness.scoring.task_files import select
from speed.contest import Contest, Way

BATCHES = (8, 16, 32, 64)
GPU_BATCHES = (*BATCHES, 128, 256)
GENERATED = 40


def requests_of(tasks: Sequence[str], items: int, model: Path, **metadata: Any) -> list[Any]:
    """What lm-eval asks of a model for the first items of tasks."""
    loaded = select(tasks, {"pretrained": str(model), **metadata}).loaded["tasks"]
    found = []
    for task in loaded.values():
        task.build_all_requests(limit=items, rank=0, world_size=1)
        found += task.instances
    return [Instance("loglikelihood", {}, one.args, number) for number, one in enumerate(found)]


def likelihoods(model: Path, items: int) -> Iterator[Contest]:
    """CrowS-Pairs, and StereoSet in likelihood form."""
    for name, tasks, aim in (
        ("crows_pairs", ["crows_pairs"], ">= 1.6"),
        ("stereoset", ["stereoset_intrasentence", "stereoset_intersentence"], ">= 1.7"),
    ):
        yield Contest(name, f"{name}, {items} items", aim, partial(_ways, model, tasks, items))


def prompts(model: Path, items: int) -> Iterator[Contest]:
    """StereoSet as a question, in three orders; and in one, beside generating the answers one by one."""
    task, some = ["stereoset_prompt_intrasentence"], items // 3
    yield Contest(
        "prompts", f"{task[0]}, {some} items, 3 orders", ">= 2.2", partial(_ways, model, task, 3 * some, permutations=3)
    )
    few = items // 10

    def ways() -> dict[str, Way]:
        asked = requests_of(task, few, model, permutations=1)
        texts = list(dict.fromkeys(one.args[0] for one in asked))
        ours = CausalLM(str(model))
        return {
            f"greedy, {GENERATED} new tokens, one at a time": partial(_generate, ours, texts),
            "hf-causal": scored(ours, asked),
        }

    yield Contest("generated", f"{task[0]}, {few} items, 1 order", ">= 4", ways)


def big_vocabulary(model: Path, items: int) -> Contest:
    """A model of the shape of Gemma 3 270M, random weights, whose head has 262,144 rows."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    def ways() -> Mapping[str, Way]:
        folder = Path(tempfile.mkdtemp())
        torch.manual_seed(0)
        config = Gemma3TextConfig(
            vocab_size=262_144,
            hidden_size=640,
            intermediate_size=2048,
            num_hidden_layers=18,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=256,
            sliding_window=512,
            max_position_embeddings=2048,
        )
        Gemma3ForCausalLM(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(model).save_pretrained(folder)
        return _ways(folder, ["stereoset_intrasentence"], some)

    some = items // 3
    return Contest("big vocabulary", f"intrasentence, {some} items, Gemma 3 270M's shape", ">= 2", ways)


def _ways(model: Path, tasks: Sequence[str], items: int, **metadata: Any) -> dict[str, Way]:
    asked = requests_of(tasks, items, model, **metadata)
    theirs = best_of_theirs(model, asked[: max(16, len(asked) // 4)])
    ours, plain = CausalLM(str(model)), CausalLM(str(model), share_prefixes=False)
    return {
        f"lm-eval's hf, batch {theirs.batch_size}": scored(theirs, asked),
        "hf-causal": scored(ours, asked),
        "hf-causal, share_prefixes=False": scored(plain, asked),
        "limit: a bare pass over the distinct positions": bare(ours, asked),
    }


def best_of_theirs(model: Path, some: Sequence[Any], dtype: str = "float32") -> HFLM:
    """lm-eval's `hf` at the batch size that scores some requests fastest."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    theirs = HFLM(str(model), dtype=dtype, batch_size=BATCHES[0], device=device)
    taken = {}
    for size in GPU_BATCHES if device == "cuda" else BATCHES:
        theirs.batch_size_per_gpu = size
        started = time.perf_counter()
        theirs.loglikelihood(some, disable_tqdm=True)
        taken[size] = time.perf_counter() - started
    theirs.batch_size_per_gpu = min(taken, key=lambda size: taken[size])
    return theirs


def scored(lm: Any, asked: Sequence[Any]) -> Way:
    """Score requests through a model of lm-eval's."""
    return lambda: [logprob for logprob, _ in lm.loglikelihood(asked, disable_tqdm=True)]


def bare(lm: CausalLM, asked: Sequence[Any]) -> Way:
    """A forward pass over as many positions as are distinct, and the head over as many as have predictions."""
    tokenised = []
    for one in asked:
        context, continuation = one.args
        pair = (
            lm._encode_pair(context, continuation) if context else ([lm.prefix_token_id], lm.tok_encode(continuation))
        )
        tokenised.append((None, *pair))
    whole = trees(tokenised, 10**9, None)
    positions, predictions = sum(tree.width for tree in whole), sum(len(tree.nodes) for tree in whole)
    rows, width = lm.cpu_batch_tokens // 32, 32
    ids = torch.randint(1000, (rows, width), device=lm.device)
    passes = max(1, round(positions / ids.numel()))
    body, head = lm.model.base_model, lm.model.get_output_embeddings()

    @torch.inference_mode()
    def run() -> None:
        for _ in range(passes):
            hidden = body(ids, use_cache=False).last_hidden_state.flatten(0, 1)
            head(hidden[: max(1, round(len(hidden) * predictions / positions))]).logsumexp(-1)

    return run


@torch.inference_mode()
def _generate(lm: CausalLM, texts: Sequence[str]) -> None:
    for text in texts:
        ids = lm.tokenizer(text, return_tensors="pt").to(lm.device)
        lm.model.generate(**ids, do_sample=False, max_new_tokens=GENERATED, min_new_tokens=GENERATED, pad_token_id=0)
