"""Prefix trees: every text is in one, nothing is computed twice, and the answers are those of the texts one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.data import crows_pairs, stereoset
from harness.models.causal import ROW_NODES, CausalLM
from harness.models.masked import MaskedLM
from harness.models.prefix_tree import Text, one_text, rows, takes_trees, widest

TOKENS = (3, 15, 27, 39, 51, 63, 75)
SHAPE = {"vocab_size": 258, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
LLAMA = {**SHAPE, "intermediate_size": 48, "num_key_value_heads": 2, "initializer_range": 0.3}
KINDS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3)
    ),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)),
    "gemma3": lambda: transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(**LLAMA, head_dim=8, sliding_window=16, layer_types=["sliding_attention"] * 4)
    ),
    "bloom": lambda: transformers.BloomForCausalLM(
        transformers.BloomConfig(vocab_size=258, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    ),
    "gpt-neo": lambda: transformers.GPTNeoForCausalLM(
        transformers.GPTNeoConfig(
            vocab_size=258,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            attention_types=[[["global", "local"], 1]],
            window_size=16,
            initializer_range=0.3,
        )
    ),
    "mamba": lambda: transformers.MambaForCausalLM(
        transformers.MambaConfig(vocab_size=258, hidden_size=32, num_hidden_layers=2, initializer_range=0.3)
    ),
}
# Beginnings that are shared within an item and across items, and one that no other text has.
TEXTS = [
    ("Who was kind?", " The nurse"),
    ("Who was kind?", " The engineer"),
    ("Who was kind?", " A"),
    ("Who was kind?", " B"),
    ("Who was kind to the engineer on that long and rainy day in town?", " The nurse, and so was everybody else."),
    ("", "The nurse was kind."),
    ("", "The nurse was rude."),
    ("", "The nurse"),
    ("", "x"),
]


def requests(texts: list[tuple[str, str]]) -> list[Any]:
    return [Instance("loglikelihood", {}, text, 0, metadata=("tiny", number, 1)) for number, text in enumerate(texts)]


def model_folder(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    KINDS[kind]().save_pretrained(folder)
    tiny_models._byte_tokenizer().save_pretrained(folder)
    return folder


@contextmanager
def counted(lm: Any) -> Iterator[dict[str, int]]:
    """Positions that go through the body, rows through the head, and forward passes."""
    counts = {"positions": 0, "rows": 0, "passes": 0}

    def into_body(_: Any, given: Any, named: dict[str, Any]) -> None:
        counts["passes"] += 1
        counts["positions"] += named["input_ids"].numel()

    def out_of_head(_: Any, given: Any, logits: Any) -> None:
        counts["rows"] += logits.shape[:-1].numel()

    hooks = [
        lm.model.register_forward_pre_hook(into_body, with_kwargs=True),
        lm.model.get_output_embeddings().register_forward_hook(out_of_head),
    ]
    yield counts
    for hook in hooks:
        hook.remove()


def random_texts(seed: int) -> set[Text]:
    """Texts over three tokens: many share beginnings, and some are the beginning of others."""
    draw = random.Random(seed)
    return {tuple(draw.choices((1, 2, 3), k=draw.randint(1, 12))) for _ in range(200)}


@pytest.mark.parametrize("at_most", [1, 8, 40, 10_000])
def test_every_text_is_a_way_from_a_root_and_no_tree_has_a_node_twice(at_most: int) -> None:
    texts = random_texts(at_most)
    laid_out = list(rows(texts, at_most))
    assert sorted(text for row in laid_out for text, _ in row.paths) == sorted(texts)
    for row in laid_out:
        for text, path in row.paths:
            assert tuple(row.tokens[node] for node in path) == text
            assert [row.parents[node] for node in path] == [-1, *path[:-1]]
            assert [row.depths[node] for node in path] == list(range(len(text)))
        assert len(row.tokens) == len({text[:end] for text, _ in row.paths for end in range(1, len(text) + 1)})
        assert len(row.tokens) <= max(at_most, 2 * max(len(text) for text, _ in row.paths))


def test_a_long_beginning_is_laid_out_once_unless_tokens_see_only_so_far() -> None:
    texts = [(*[1] * 300, option, 7) for option in range(20)]
    (row,) = rows(texts, 64)
    assert len(row.tokens) == 340
    assert max(len(row.tokens) for row in rows(texts, 64, never_more=310)) == 310


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_do_not_heed_mask_and_positions_are_found_out(kind: str) -> None:
    """BLOOM counts positions for itself, and Mamba has no attention."""
    takes = kind not in ("bloom", "mamba")
    torch.manual_seed(0)
    model = KINDS[kind]().eval()
    assert takes_trees(model, "cpu", TOKENS) == takes
    if kind != "mamba":
        assert takes_trees(model.bfloat16(), "cpu", TOKENS) == takes
    assert widest(model.config) == {"gemma3": 16, "gpt-neo": 16}.get(kind)


@pytest.mark.parametrize("nodes", [1, 24, ROW_NODES])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3", "gpt-neo", "bloom"])
def test_answers_are_those_of_the_texts_one_by_one(
    kind: str, nodes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.causal.ROW_NODES", nodes)
    folder = str(model_folder(tmp_path, kind))
    theirs = HFLM(folder, device="cpu", dtype="float32").loglikelihood(requests(TEXTS), disable_tqdm=True)
    for share_prefixes in (True, False):
        found = CausalLM(folder, share_prefixes=share_prefixes).loglikelihood(requests(TEXTS), disable_tqdm=True)
        assert [logprob for logprob, _ in found] == pytest.approx([logprob for logprob, _ in theirs], abs=1e-4)
        assert [top for _, top in found] == [top for _, top in theirs]


def test_what_texts_share_is_computed_once_and_the_head_where_predictions_are_read(byte_llama: Path) -> None:
    """`<s>` and "Who was kind" are shared by all; of the first three texts the last token is never fed."""
    texts = [("Who was kind?", " A"), ("Who was kind?", " B"), ("Who was kind?", " The"), ("Who was kind", " here")]
    lm = CausalLM(str(byte_llama))
    assert lm.takes_trees
    with counted(lm) as counts:
        shared = lm.loglikelihood(requests(texts), disable_tqdm=True)
    fed = {text[:end] for context, more in texts for text in [context + more] for end in range(1, len(text))}
    read = {(context + more)[:end] for context, more in texts for end in range(len(context), len(context + more))}
    assert counts == {"passes": 1, "positions": len(fed), "rows": len(read)}
    lm.share_prefixes = False
    with counted(lm) as counts:
        assert lm.loglikelihood(requests(texts), disable_tqdm=True) == [
            (pytest.approx(logprob, abs=1e-4), top) for logprob, top in shared
        ]
    # Of the plain way, " A" and " B" are one text, since they differ in their last token only; rows are padded.
    assert counts == {"passes": 1, "positions": 3 * 16, "rows": 2 + 4 + 5}


def test_only_causal_models_have_the_choice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share_prefixes: of hf-causal alone"):
        MaskedLM(str(tiny_models.masked(tmp_path)), share_prefixes=False)


def test_a_row_of_its_own_is_an_ordinary_text() -> None:
    row = one_text((5, 6, 7))
    assert (row.tokens, row.parents, row.depths, row.paths) == (
        [5, 6, 7],
        [-1, 0, 1],
        [0, 1, 2],
        [((5, 6, 7), [0, 1, 2])],
    )


def test_logits_at_once_are_limited_in_bytes(byte_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.models.batches.LOGITS_BYTES", {"cpu": 4 * 60_000 * 30, "cuda": 0})
    lm = CausalLM(str(byte_llama))
    assert lm.takes_trees
    passes = []
    for vocabulary in (258, 60_000):
        monkeypatch.setattr(lm, "vocab_size", vocabulary)
        with counted(lm) as counts:
            lm.loglikelihood(requests(TEXTS), disable_tqdm=True)
        passes.append(counts["passes"])
    assert passes[1] > passes[0]


def test_real_sentences_share_what_was_counted(real_data: Path) -> None:
    """Of the positions of the real sets, with GPT-2's tokens and in trees of the size that is used."""
    tokenizer = tiny_models.real_tokenizer(real_data, "gpt2")
    pairs = crows_pairs.read(real_data / "crows_pairs" / "crows_pairs_anonymized.csv")
    items = stereoset.read(real_data / "stereoset" / "dev.json", "intrasentence")
    sets = {
        0.73: [text for pair in pairs for text in (pair.sent_more, pair.sent_less)],
        0.44: [text for item in items for text in (item.stereotype, item.anti_stereotype, item.unrelated)],
    }
    for share, sentences in sets.items():
        texts = [(0, *tokenizer(text)["input_ids"][:-1]) for text in sentences]
        left = sum(len(row.tokens) for row in rows(set(texts), ROW_NODES))
        assert left / sum(map(len, texts)) == pytest.approx(share, abs=0.03)
