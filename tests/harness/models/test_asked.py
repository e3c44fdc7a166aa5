"""Trees are dealt so that processes finish together, and a GPU that is short of memory is asked for half as much."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance

from harness.models.asked import Tree, shares, trees
from harness.models.batches import InBatches
from harness.models.causal import CausalLM

TEXTS = [("", "The nurse was kind."), ("", "He left."), ("Who was kind?", " A"), ("Who was kind?", " B"), ("", "x")]


def requests() -> list[Any]:
    return [Instance("loglikelihood", {}, text, 0, metadata=("tiny", number, 1)) for number, text in enumerate(TEXTS)]


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_are_done_within_a_tenth_of_each_other_however_uneven_the_documents(processes: int) -> None:
    draw = random.Random(0)
    asked = [
        (None, [0, *draw.choices(range(9), k=draw.choice((3, 30, 300)))], draw.choices(range(9), k=draw.randint(1, 20)))
        for _ in range(400)
    ]
    laid_out = trees(asked, 128, None)
    dealt = shares(laid_out, processes, node_cost=3.0)
    assert sorted(id(tree) for share in dealt for tree in share) == sorted(map(id, laid_out))
    costs = [sum(3.0 * tree.width + len(tree.nodes) for tree in share) for share in dealt]
    assert max(costs) < 1.1 * min(costs)
    # Every request is asked for once, wherever it went.
    numbers = [number for share in dealt for tree in share for number, *_ in tree.asked]
    assert sorted(numbers) == list(range(len(asked)))


def test_short_of_memory_a_batch_is_halved_once(byte_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CausalLM, "_halved", False)
    lm = CausalLM(str(byte_llama), share_prefixes=False)
    expected = lm.loglikelihood(requests(), disable_tqdm=True)
    score, sizes = lm._score, []

    def short(batch: Sequence[Tree]) -> list[Any]:
        sizes.append(len(batch))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(batch)

    monkeypatch.setattr(lm, "_score", short)
    before = lm._room()
    assert [logprob for logprob, _ in lm.loglikelihood(requests(), disable_tqdm=True)] == pytest.approx(
        [logprob for logprob, _ in expected], abs=1e-5
    )
    assert sizes == [4, 2, 2]
    assert lm._room() == tuple(room // 2 for room in before)
    sizes.clear()
    with pytest.raises(torch.OutOfMemoryError):
        lm.loglikelihood(requests(), disable_tqdm=True)


def test_a_gpus_room_follows_from_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpu(InBatches):
        device = torch.device("cuda")
        vocab_size = 250_000
        batch_size = "auto"

    lm = OnGpu()
    lm._model = torch.nn.Linear(1, 1, dtype=torch.float16)
    lm._model.dtype = torch.float16
    lm._model.get_input_embeddings = lambda: torch.nn.Embedding(10, 1024)
    lm._model.get_output_embeddings = lambda: None
    for name, value in {"mem_get_info": (8 << 30, 16 << 30), "memory_reserved": 0, "memory_allocated": 0}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    positions, logits = lm._room()
    assert positions == 16384
    assert logits == (1 << 30) // (4 * 250_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (64 << 20, 16 << 30))
    assert lm._room()[0] < 1024
    assert lm._room()[1] == (8 << 20) // (4 * 250_000)
