"""How much work a model is given for fixed questions: positions, rows through the vocabulary head, forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from masked_reference import requests

from harness.models import causal
from harness.models.causal import CausalLM
from harness.models.masked import MaskedLM
from harness.models.seq2seq import Seq2SeqLM


@contextmanager
def counted(lm: Any, **modules: Any) -> Iterator[dict[str, int]]:
    """Positions that go into each module, rows that come out of the vocabulary head, and passes through the model."""
    counts = {"rows": 0, "passes": 0, **dict.fromkeys(modules, 0)}

    def one_pass(*_: Any) -> None:
        counts["passes"] += 1

    def out_of_head(_: Any, given: Any, logits: Any) -> None:
        counts["rows"] += logits.shape[:-1].numel()

    def into(name: str) -> Any:
        def note(_: Any, given: Any, named: Mapping[str, Any]) -> None:
            counts[name] += (named["input_ids"] if "input_ids" in named else given[0]).numel()

        return note

    hooks = [module.register_forward_pre_hook(into(name), with_kwargs=True) for name, module in modules.items()]
    hooks.append(lm.model.register_forward_pre_hook(one_pass))
    hooks.append(lm.model.get_output_embeddings().register_forward_hook(out_of_head))
    yield counts
    for hook in hooks:
        hook.remove()


def test_equal_masked_rows_of_a_pair_are_read_once(tmp_path: Path) -> None:
    lm = MaskedLM(str(tiny_models.masked(tmp_path)))
    pair = [("", "the nurse was kind"), ("", "the nurse was the")]
    tokens = [len(lm.tokenizer(text, add_special_tokens=False)["input_ids"]) for _, text in pair]
    assert tokens[0] == tokens[1]
    with counted(lm, body=lm.model.base_model) as both:
        lm.loglikelihood(requests(*pair), disable_tqdm=True)
    # Where the word that differs is masked, the two are one text.
    rows = 2 * tokens[0] - 1
    assert both == {"rows": rows, "passes": 1, "body": rows * (tokens[0] + 2)}


def test_sub_tokens_at_one_blank_share_what_is_equal(tmp_path: Path) -> None:
    lm = MaskedLM(str(tiny_models.masked(tmp_path)))
    with counted(lm, body=lm.model.base_model) as work:
        lm.loglikelihood(requests(("she was [MASK]", "kind"), ("she was [MASK]", "playing")), disable_tqdm=True)
    # "play" is expected where "kind" is; "##ing" is asked for behind it.
    assert work["rows"] == 2


def test_an_encoder_reads_a_context_once_for_all_its_continuations(tmp_path: Path) -> None:
    lm = Seq2SeqLM(str(tiny_models.t5(tmp_path)))
    context, fillings = (
        "the nurse was <extra_id_0>.",
        ["<extra_id_0> kind <extra_id_1>", "<extra_id_0> he <extra_id_1>"],
    )
    source = len(lm.tokenizer(context)["input_ids"])
    targets = [len(lm.tokenizer(text)["input_ids"]) for text in fillings]
    with counted(lm, encoder=lm.model.get_encoder()) as work:
        lm.loglikelihood(requests(*((context, text) for text in fillings)), disable_tqdm=True)
    assert work == {"rows": sum(targets), "passes": 1, "encoder": source}


def test_texts_are_cut_into_tokens_and_trees_once_for_all_checkpoints(
    byte_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, made = CausalLM(str(byte_llama)), []
    plain = causal.trees
    monkeypatch.setattr(causal, "trees", lambda *given: made.append(1) or plain(*given))
    asked = requests(("", "The nurse was kind."), ("Who?", " A"), ("Who?", " B"))
    first = lm.loglikelihood(asked, disable_tqdm=True)
    monkeypatch.setattr(type(lm.tokenizer), "encode", None)
    monkeypatch.setattr(type(lm.tokenizer), "__call__", None)
    assert lm.loglikelihood(asked, disable_tqdm=True) == first
    assert len(made) == 1


def test_kept_texts_are_the_texts_that_were_asked(byte_llama: Path) -> None:
    lm = CausalLM(str(byte_llama))
    tokens = lm.tok_encode("abc", add_special_tokens=False)
    tokens.append(7)
    assert lm.tok_encode("abc", add_special_tokens=False) == tokens[:-1]
    assert lm.tok_encode("abd", add_special_tokens=False) != tokens[:-1]
