"""Texts from masked models: the likeliest words for a gap, and masks behind a prompt filled from the left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from masked_reference import Reference

from harness.models.masked import MaskedLM


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp("bert"))


def asked(document: int, prompt: str, repeats: int = 1, **arguments: Any) -> Any:
    return Instance("generate_until", {}, (prompt, arguments), 0, metadata=("tiny", document, repeats))


def likeliest(reference: Reference, ids: list[int], place: int, count: int) -> list[str]:
    """The words that lead at one place, special tokens passed over."""
    ranked = reference.log_p(ids, place).argsort(descending=True).tolist()
    words = [token for token in ranked if token not in reference.tokenizer.all_special_ids]
    return [str(token) for token in reference.tokenizer.convert_ids_to_tokens(words[:count])]


def test_a_template_asked_for_k_times_gets_its_k_likeliest_words(bert: Path) -> None:
    reference = Reference(bert)
    prompts = {"the [MASK] was kind": 2, "he was [MASK].": 3}
    ids = [
        reference.ids("[CLS]", "the", "[MASK]", "was", "kind", "[SEP]"),
        reference.ids("[CLS]", "he", "was", "[MASK]", ".", "[SEP]"),
    ]
    # lm-eval hands in a repeated request as often as it is to be answered.
    repeated = [request for number, prompt in enumerate(prompts) for request in [asked(number, prompt, repeats=5)] * 5]
    found = MaskedLM(str(bert)).generate_until(repeated, disable_tqdm=True)
    expected = [likeliest(reference, one, place, 5) for one, place in zip(ids, prompts.values(), strict=True)]
    assert [found[:5], found[5:]] == expected


def test_two_documents_with_one_template_get_the_same_words(bert: Path) -> None:
    repeated = [asked(0, "the [MASK] was", repeats=3)] * 3 + [asked(1, "the [MASK] was", repeats=3)] * 3
    found = MaskedLM(str(bert)).generate_until(repeated, disable_tqdm=True)
    assert found[:3] == found[3:]
    assert len(set(found)) == 3


def test_special_tokens_are_no_words(bert: Path) -> None:
    lm = MaskedLM(str(bert))
    with torch.no_grad():
        lm.model.cls.predictions.bias[lm.tokenizer.all_special_ids] = 1000
    found = lm.generate_until([asked(0, "the [MASK] was"), asked(1, "the nurse", max_gen_toks=2)], disable_tqdm=True)
    assert not any(token in text for text in found for token in lm.tokenizer.all_special_tokens)
    assert all(found)


def test_a_prompt_is_continued_by_filling_the_leftmost_mask_first(bert: Path) -> None:
    reference = Reference(bert)
    prompt = ["[CLS]", "the", "nurse"]
    filled: list[str] = []
    for left in (3, 2, 1):
        ids = reference.ids(*prompt, *filled, *["[MASK]"] * left, "[SEP]")
        filled += likeliest(reference, ids, len(prompt) + len(filled), 1)
    expected = reference.tokenizer.convert_tokens_to_string(["the", "nurse", *filled])
    (found,) = MaskedLM(str(bert)).generate_until([asked(0, "The nurse", max_gen_toks=3)], disable_tqdm=True)
    assert "the nurse" + found == expected


def test_prompts_of_one_batch_are_continued_as_each_alone(bert: Path) -> None:
    lm = MaskedLM(str(bert))
    batch = [
        asked(0, "The nurse was", max_gen_toks=4),
        asked(1, "", max_gen_toks=2),
        asked(2, "He is playing in the house and she was", max_gen_toks=6),
    ]
    alone = [lm.generate_until([one], disable_tqdm=True)[0] for one in batch]
    assert lm.generate_until(batch, disable_tqdm=True) == alone
    assert all(alone)


def test_a_text_ends_before_the_first_of_the_strings_that_end_it(bert: Path) -> None:
    lm = MaskedLM(str(bert))
    (whole,) = lm.generate_until([asked(0, "The nurse", max_gen_toks=6)], disable_tqdm=True)
    stops = [whole[-1], whole[3]]
    (cut,) = lm.generate_until([asked(0, "The nurse", max_gen_toks=6, until=stops)], disable_tqdm=True)
    assert cut == whole[: min(whole.index(stop) for stop in stops)]


def test_sampling_from_a_sliver_of_the_probability_is_greedy_and_from_all_of_it_is_not(bert: Path) -> None:
    lm = MaskedLM(str(bert))
    torch.manual_seed(0)
    sampled = [
        lm.generate_until(
            [asked(0, "The nurse", max_gen_toks=5, do_sample=True, temperature=1.0, top_p=top_p)], disable_tqdm=True
        )
        for top_p in (1e-6, 1.0)
    ]
    greedy = lm.generate_until([asked(0, "The nurse", max_gen_toks=5)], disable_tqdm=True)
    assert sampled[0] == greedy != sampled[1]


@pytest.mark.parametrize(("prompt", "tokens"), [("x " * 127 + "[MASK]", 130), ("x " * 100, 134)])
def test_what_exceeds_the_models_positions_is_named(bert: Path, prompt: str, tokens: int) -> None:
    with pytest.raises(ValueError, match=f"tiny, document 9: {tokens} tokens"):
        MaskedLM(str(bert)).generate_until([asked(9, prompt, max_gen_toks=32)], disable_tqdm=True)


def test_robertas_spaces_stand_before_the_words_of_a_continuation(tmp_path: Path) -> None:
    lm = MaskedLM(str(tiny_models.masked(tmp_path, "roberta")))
    (kind,) = Reference(tmp_path).ids("Ġkind")
    with torch.no_grad():
        lm.model.lm_head.bias[kind] = 1000
    found = lm.generate_until([asked(0, "the nurse is", max_gen_toks=2), asked(1, "is <mask>.")], disable_tqdm=True)
    assert found == [" kind kind", "kind"]
