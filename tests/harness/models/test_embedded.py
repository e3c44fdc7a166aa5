"""A tokenizer with tokens beyond the model's embeddings, as Llama 2's: scored as without them until a text has one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer

from harness.models.any import load_lm

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "causal": tiny_models.byte_llama,
    "masked": tiny_models.masked,
    "seq2seq": tiny_models.t5,
}
TEXTS = [("the nurse", " was kind"), ("he", " was at the house, and she was too")]
GREEDY = {"max_gen_toks": 4, "until": ["\\n"], "do_sample": False}


def with_more_tokens(model: Path, folder: Path, padding: bool) -> Path:
    """The model with tokens that it has no embedding for, ordinary and special; one of them pads where asked for."""
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["<more>"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<beyond>"]})
    if padding:
        tokenizer.add_special_tokens({"pad_token": "<own pad>"})
    tokenizer.save_pretrained(folder)
    return folder


def requests(kind: str, texts: list[Any]) -> list[Any]:
    return [Instance(kind, {}, text, 0, metadata=("tiny", number, 1)) for number, text in enumerate(texts)]


@pytest.fixture(scope="module", params=[(family, padding) for family in FAMILIES for padding in (False, True)])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A model with its own tokenizer, and with one that has more."""
    family, padding = request.param
    folder = tmp_path_factory.mktemp(family)
    plain = FAMILIES[family](folder / "plain")
    return load_lm(str(plain)), load_lm(str(with_more_tokens(plain, folder / "more", padding)))


def test_likelihoods_are_those_without_the_tokens(both: tuple[Any, Any]) -> None:
    plain, more = (lm.loglikelihood(requests("loglikelihood", TEXTS), disable_tqdm=True) for lm in both)
    assert more == plain


def test_texts_of_unlike_lengths_are_continued_together(both: tuple[Any, Any]) -> None:
    prompts = [("the nurse was", GREEDY), ("he", GREEDY)]
    plain, more = (lm.generate_until(requests("generate_until", prompts), disable_tqdm=True) for lm in both)
    assert more == plain


@pytest.mark.parametrize("token", ["<more>", "<beyond>"])
def test_a_text_with_such_a_token_is_refused_by_name(both: tuple[Any, Any], token: str) -> None:
    _, lm = both
    complaint = rf"tiny, document 1: its text has the token '{token}' \(id \d+\), and the model has embeddings of \d+"
    for text in (("the nurse", f" was {token}"), (f"the {token}", " was kind")):
        with pytest.raises(ValueError, match=complaint):
            lm.loglikelihood(requests("loglikelihood", [TEXTS[0], text]), disable_tqdm=True)
    with pytest.raises(ValueError, match=complaint):
        lm.generate_until(requests("generate_until", [("he", GREEDY), (f"a {token}", GREEDY)]), disable_tqdm=True)


def test_a_long_text_with_such_a_token_is_refused_by_name(byte_llama: Path, tmp_path: Path) -> None:
    for family in ("causal", "masked"):
        plain = FAMILIES[family](tmp_path / family)
        lm = load_lm(str(with_more_tokens(plain, tmp_path / f"{family} more", padding=False)))
        assert lm.loglikelihood_rolling(requests("loglikelihood_rolling", [("the nurse was kind",)]), disable_tqdm=True)
        texts = requests("loglikelihood_rolling", [("the nurse",), ("the nurse <more>",)])
        with pytest.raises(ValueError, match="document 1: its text has the token '<more>'"):
            lm.loglikelihood_rolling(texts, disable_tqdm=True)


def test_the_padding_token_that_lm_eval_adds_is_none_that_is_looked_up(byte_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(byte_llama, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    plain, lm = load_lm(str(byte_llama)), load_lm(str(folder))
    assert "<|pad|>" in lm.tokenizer.get_vocab()
    scored = requests("loglikelihood", TEXTS)
    assert lm.loglikelihood(scored, disable_tqdm=True) == plain.loglikelihood(scored, disable_tqdm=True)


def test_a_start_token_without_an_embedding_is_refused(byte_llama: Path, tmp_path: Path) -> None:
    folder = with_more_tokens(byte_llama, tmp_path / "more", padding=False)
    lm = load_lm(str(folder), prefix_token_id=258)
    with pytest.raises(ValueError, match=r"document 0: its text has the token '<more>' \(id 258\)"):
        lm.loglikelihood(requests("loglikelihood", [("", "he")]), disable_tqdm=True)
