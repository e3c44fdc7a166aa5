from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
from transformers import AutoTokenizer

from harness.data import wikitext
from harness.data.sources import SAMPLE, SOURCES
from harness.data.span_corruption import corrupted

SAMPLE_FILE = SAMPLE / SOURCES["wikitext2"].path


def test_documents_begin_at_level_1_headings_only(tmp_path: Path) -> None:
    path = tmp_path / "wiki.test.raw"
    path.write_bytes(b" \n = One = \n \n Text . \n = = Section = = \n More . \n = Two = \n Last . \n")
    assert wikitext.read(path) == [
        wikitext.Document("One", " = One = \n \n Text . \n = = Section = = \n More . "),
        wikitext.Document("Two", " = Two = \n Last . \n"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"No heading at all . \n", "no ` = Title = ` heading"),
        (b"Before . \n = One = \n", "text before the first"),
        (b" = One = \n \xff\n", "not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "wiki.test.raw").write_bytes(content)
    with pytest.raises(ValueError, match=f"wiki.test.raw.*{message}"):
        wikitext.read(tmp_path / "wiki.test.raw")


def test_the_published_file_splits_as_lm_eval_splits_it(real_data: Path) -> None:
    path = real_data / SOURCES["wikitext2"].path
    documents = wikitext.read(path)
    assert len(documents) == 62
    assert [one.title for one in documents[:3]] == ["Robert Boulter", "Du Fu", "Kiss You ( One Direction song )"]
    assert sum(len(one.page.split()) for one in documents) == 241_211
    # Nothing is lost but the blank first line; a line break stands between two documents.
    assert " \n" + "\n".join(one.page for one in documents) == path.read_bytes().decode("utf-8")


def test_words_and_bytes_are_lm_evals(model_folder: Path) -> None:
    from lm_eval.tasks.wikitext.preprocess_wikitext import process_results

    rows = wikitext.dataset(pretrained=str(model_folder), data_dir="sample")["test"]
    for document, row in zip(wikitext.read(SAMPLE_FILE), rows, strict=True):
        expected = process_results({"page": document.page}, (-1.0,))
        assert expected["word_perplexity"] == (-1.0, row["words"])
        assert expected["byte_perplexity"] == (-1.0, row["bytes"])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.masked(tmp_path_factory.mktemp("bert")))


def test_a_masked_model_is_asked_for_a_sample_of_the_tokens_that_stands_for_its_share_of_words(bert: str) -> None:
    whole, some, again = (
        wikitext.dataset(pretrained=bert, data_dir="sample", sampled_tokens=count)["test"]
        for count in ("all", 500, "500")
    )
    assert some["scored"] == again["scored"]
    assert sum(some["tokens"]) == 500
    for every, row, document in zip(whole, some, wikitext.read(SAMPLE_FILE), strict=True):
        assert every["scored"] == list(range(every["tokens"]))
        assert set(row["scored"]) <= set(every["scored"])
        assert row["tokens"] == len(row["scored"]) > 0
        assert (every["words"], every["bytes"]) == (document.words, document.bytes)
        assert row["words"] == pytest.approx(document.words * row["tokens"] / every["tokens"])
        assert row["bytes"] == pytest.approx(document.bytes * row["tokens"] / every["tokens"])


@pytest.mark.parametrize("given", ["0", "-3", "few"])
def test_a_sample_that_is_no_number_of_tokens_is_refused(bert: str, given: str) -> None:
    with pytest.raises(ValueError, match=f"sampled_tokens='{given}': expected how many"):
        wikitext.dataset(pretrained=bert, data_dir="sample", sampled_tokens=given)


def test_an_encoder_decoder_is_asked_for_hidden_spans_that_stand_for_their_share_of_words(tmp_path: Path) -> None:
    folder = tiny_models.t5(tmp_path)
    rows = wikitext.dataset(pretrained=str(folder), data_dir="sample")["test"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row, document in zip(rows, wikitext.read(SAMPLE_FILE), strict=True):
        parts = corrupted(tokenizer, row["page"], row["window"], row["span_key"])
        assert row["tokens"] == sum(len(part.target) for part in parts)
        share = sum(part.hidden for part in parts) / sum(part.length for part in parts)
        assert row["words"] == pytest.approx(document.words * share)
        assert share == pytest.approx(0.15, abs=0.01)
        assert max(len(part.source) for part in parts) <= 128


def test_the_scored_page_is_detokenised(model_folder: Path) -> None:
    rows = wikitext.dataset(pretrained=str(model_folder), data_dir="sample")["test"]
    pages = {row["title"]: row["page"] for row in rows}
    assert "About half-way up, long stones" in pages["Dry stone wall"]
    assert "less than 5,000 tons" in pages["Harbour pilot"]
    assert "99.4 centimetres" in pages["Pendulum clock"]
    assert all(row["tokens"] == len(row["page"].encode("utf-8")) for row in rows)
    assert [row["document"] for row in rows] == list(range(6))


def test_paragraphs_beside_the_passages_share_no_words_with_them_and_are_nearly_all(real_data: Path) -> None:
    path = real_data / SOURCES["wikitext2_valid"].path
    passages = " ".join(wikitext.passages(path, wikitext.SIZING_WORDS, wikitext.SIZING_PASSAGES))
    beside = list(wikitext.paragraphs_beside(path, wikitext.SIZING_WORDS, wikitext.SIZING_PASSAGES))
    long_ones = [" ".join(one.split()) for one in beside if len(one.split()) > 12]
    assert not [one for one in long_ones if one in passages]
    every = list(wikitext.paragraphs_beside(path, wikitext.SIZING_WORDS, 0))
    assert set(beside) < set(every)
    assert 0.95 < sum(len(one.split()) for one in beside) / sum(len(one.split()) for one in every) < 0.985


def test_of_a_short_file_nothing_is_left_out() -> None:
    path = SAMPLE / SOURCES["wikitext2_valid"].path
    assert list(wikitext.paragraphs_beside(path, 320, 12)) == list(wikitext.paragraphs_beside(path, 320, 0))
