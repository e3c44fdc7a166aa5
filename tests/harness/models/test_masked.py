"""Pseudo-log-likelihoods against a plain loop from the definition, and the words that fill a blank."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from masked_reference import Reference, requests

from harness.data import crows_pairs
from harness.models.masked import MaskedLM

TEXTS = [
    "The nurse was kind.",
    "He was playing in the house, and so was everyone else who had been asked to come along.",
    "x",
    "She is a housekeeper; he isn't!",
    "The nurse was kind, naïve and  old.",
]


@pytest.fixture(scope="module", params=tiny_models.MASKED_SHAPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp("roberta"), "roberta")


def scores(lm: MaskedLM, *arguments: tuple[Any, ...]) -> list[float]:
    return [logprob for logprob, _ in lm.loglikelihood(requests(*arguments), disable_tqdm=True)]


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_batches_score_what_one_mask_at_a_time_scores(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int | str
) -> None:
    monkeypatch.setattr(MaskedLM, "cpu_batch_tokens", 90)
    reference = Reference(folder)
    found = scores(MaskedLM(str(folder), batch_size=batch_size), *(("", text) for text in TEXTS))
    assert found == pytest.approx([reference.pseudo_log_likelihood(text) for text in TEXTS], abs=1e-4)


@pytest.mark.parametrize(
    ("vocabulary", "kind"), [("bert-base-uncased", "bert"), ("bert-base-cased", "albert"), ("roberta-base", "roberta")]
)
def test_real_vocabularies_score_what_one_mask_at_a_time_scores(
    real_data: Path, tmp_path: Path, vocabulary: str, kind: str
) -> None:
    folder = tiny_models.masked(tmp_path, kind, tiny_models.real_tokenizer(real_data, vocabulary))
    reference = Reference(folder)
    pairs = crows_pairs.read(real_data / "crows_pairs" / "crows_pairs_anonymized.csv")
    texts = [pairs[number].sent_more for number in (0, 1, 1293)] + TEXTS
    found = scores(MaskedLM(str(folder)), *(("", text) for text in texts))
    assert found == pytest.approx([reference.pseudo_log_likelihood(text) for text in texts], abs=1e-4)


@pytest.mark.slow
def test_a_model_of_berts_width_scores_a_real_pair_as_one_mask_at_a_time(real_data: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = tiny_models.real_tokenizer(real_data, "bert-base-uncased")
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), num_hidden_layers=3)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reference = Reference(tmp_path)
    pairs = crows_pairs.read(real_data / "crows_pairs" / "crows_pairs_anonymized.csv")[:1]
    texts = [text for pair in pairs for text in (pair.sent_more, pair.sent_less)]
    found = scores(MaskedLM(str(tmp_path)), *(("", text) for text in texts))
    assert found == pytest.approx([reference.pseudo_log_likelihood(text) for text in texts], abs=1e-4)


def test_the_flag_says_whether_every_token_is_the_likeliest_one(bert: Path) -> None:
    lm = MaskedLM(str(bert))
    (kind,) = Reference(bert).ids("kind")
    with torch.no_grad():
        lm.model.cls.predictions.bias[kind] = 1000
    asked = requests(("", "kind kind"), ("", "kind nurse"), ("she was [MASK]", "kind"), ("she was [MASK]", "playing"))
    assert [flag for _, flag in lm.loglikelihood(asked, disable_tqdm=True)] == [True, False, True, False]


def test_only_the_continuation_is_scored_and_the_context_is_read(bert: Path) -> None:
    reference = Reference(bert)
    ids = reference.ids("[CLS]", "the", "nurse", "was", "kind", ".", "[SEP]")
    found = scores(MaskedLM(str(bert)), ("The nurse", " was kind."))
    assert found == pytest.approx([sum(reference.token_scores(ids, [3, 4, 5]))], abs=1e-4)


def test_given_tokens_are_read_and_not_scored(bert: Path) -> None:
    reference = Reference(bert)
    ids = reference.ids("[CLS]", "the", "nurse", "was", "kind", ".", "[SEP]")
    found = scores(
        MaskedLM(str(bert)),
        ("", "The nurse was kind.", [1, 4]),
        ("The nurse", " was kind.", [0]),
    )
    expected = [reference.token_scores(ids, places) for places in ([1, 3, 4], [4, 5])]
    assert found == pytest.approx([sum(one) for one in expected], abs=1e-4)


def test_a_word_of_several_tokens_in_a_blank_has_the_mean_of_their_probabilities(bert: Path) -> None:
    reference = Reference(bert)
    first = reference.ids("[CLS]", "the", "[MASK]", "was", "kind", "[SEP]")
    second = reference.ids("[CLS]", "the", "house", "[MASK]", "was", "kind", "[SEP]")
    house, keeper = reference.ids("house", "##keeper")
    expected = (reference.log_p(first, 2)[house].exp() + reference.log_p(second, 3)[keeper].exp()) / 2
    (found,) = scores(MaskedLM(str(bert)), ("The [MASK] was kind", "housekeeper"))
    assert math.exp(found) == pytest.approx(float(expected), abs=1e-6)


def test_a_blank_that_occurs_twice_is_filled_alike_and_both_places_count(bert: Path) -> None:
    reference = Reference(bert)
    first = reference.ids("[CLS]", "[MASK]", "is", "a", "[MASK]", "[SEP]")
    second = reference.ids("[CLS]", "house", "[MASK]", "is", "a", "house", "[MASK]", "[SEP]")
    house, keeper = reference.ids("house", "##keeper")
    probabilities = [float(reference.log_p(first, place)[house].exp()) for place in (1, 4)]
    probabilities += [float(reference.log_p(second, place)[keeper].exp()) for place in (2, 6)]
    (found,) = scores(MaskedLM(str(bert)), ("[MASK] is a [MASK]", "housekeeper"))
    assert math.exp(found) == pytest.approx(sum(probabilities) / 4, abs=1e-6)


@pytest.mark.parametrize(
    ("template", "tokens", "fill"),
    [
        ("the <mask>", ["<s>", "the", "<mask>", "</s>"], "Ġkind"),
        ("<mask> the", ["<s>", "<mask>", "Ġthe", "</s>"], "kind"),
        ("(<mask>)", ["<s>", "(", "<mask>", ")", "</s>"], "kind"),
    ],
    ids=["after a space", "at the start", "after a mark"],
)
def test_a_word_after_a_space_is_another_token_in_robertas_vocabulary(
    roberta: Path, template: str, tokens: list[str], fill: str
) -> None:
    reference = Reference(roberta)
    (target,) = reference.ids(fill)
    expected = float(reference.log_p(reference.ids(*tokens), tokens.index("<mask>"))[target])
    assert scores(MaskedLM(str(roberta)), (template, "kind")) == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
def test_capitals_count_in_cased_vocabularies_alone(tmp_path: Path, lower: bool) -> None:
    folder = tiny_models.masked(tmp_path, tokenizer=tiny_models.word_pieces(lower=lower))
    capital, small = scores(MaskedLM(str(folder)), ("", "The nurse"), ("", "the nurse"))
    assert (abs(capital - small) < 1e-4) == lower
    assert capital == pytest.approx(Reference(folder).pseudo_log_likelihood("The nurse"), abs=1e-4)


def test_a_tokenizer_that_adds_no_special_tokens_has_its_first_and_last_token_scored(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path, tokenizer=tiny_models.word_pieces(special=False))
    reference = Reference(folder)
    ids = reference.ids("the", "nurse", "was", "kind")
    lm = MaskedLM(str(folder))
    assert scores(lm, ("", "The nurse was kind")) == pytest.approx(
        [sum(reference.token_scores(ids, [0, 1, 2, 3]))], abs=1e-4
    )
    assert lm.loglikelihood_rolling(requests(("The nurse was kind",)), disable_tqdm=True) == pytest.approx(
        [sum(reference.token_scores(ids, [0, 1, 2, 3]))], abs=1e-4
    )


def test_a_long_document_is_scored_in_windows_between_special_tokens(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path, max_position_embeddings=8)
    reference = Reference(folder)
    words = ["the", "nurse", "was", "kind", "he", "is", "the", "house", "she", "was", "kind", "the", "nurse"]
    expected = 0.0
    for start in (0, 6, 12):
        window = reference.ids("[CLS]", *words[start : start + 6], "[SEP]")
        expected += sum(reference.token_scores(window, range(1, len(window) - 1)))
    documents = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in (" ".join(words), "the nurse")]
    found = MaskedLM(str(folder)).loglikelihood_rolling(documents, disable_tqdm=True)
    assert found == pytest.approx([expected, reference.pseudo_log_likelihood("the nurse")], abs=1e-4)


def test_only_the_sampled_tokens_of_a_document_are_scored_each_with_its_window_in_sight(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path)
    reference = Reference(folder)
    words = ["the", "nurse", "was", "kind", "he", "is", "the", "house", "she", "was", "kind", "the", "nurse"]
    expected = 0.0
    for start, places in ((0, [2, 6]), (12, [1])):  # windows of six words between [CLS] and [SEP]
        window = reference.ids("[CLS]", *words[start : start + 6], "[SEP]")
        expected += sum(reference.token_scores(window, places))
    documents = [
        Instance("loglikelihood_rolling", {}, (" ".join(words), asked, 8), 0) for asked in ([1, 5, 12], [], [1, 5, 12])
    ]
    found = MaskedLM(str(folder)).loglikelihood_rolling(documents, disable_tqdm=True)
    assert found == pytest.approx([expected, 0, expected], abs=1e-4)


def test_texts_that_are_equal_once_masked_go_through_the_model_once(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = MaskedLM(str(bert))
    rows: list[int] = []
    seen = lm.log_distributions

    def counted(ids: Any, places: Any) -> torch.Tensor:
        rows.extend([1] * len(ids))
        return seen(ids, places)

    monkeypatch.setattr(lm, "log_distributions", counted)
    found = scores(lm, ("", "he was kind"), ("", "she was kind"), ("the [MASK]", "nurse"), ("the [MASK]", "house"))
    # Three masks a sentence, of which one gives the same text twice; and one text for both fills of the blank.
    assert len(rows) == 5 + 1
    reference = Reference(bert)
    assert found[:2] == pytest.approx(
        [reference.pseudo_log_likelihood(text) for text in ("he was kind", "she was kind")], abs=1e-4
    )
