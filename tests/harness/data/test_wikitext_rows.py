from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import wikitext
from harness.data.sources import SAMPLE, SOURCES

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


def test_the_scored_page_is_detokenised(model_folder: Path) -> None:
    rows = wikitext.dataset(pretrained=str(model_folder), data_dir="sample")["test"]
    pages = {row["title"]: row["page"] for row in rows}
    assert "About half-way up, long stones" in pages["Dry stone wall"]
    assert "less than 5,000 tons" in pages["Harbour pilot"]
    assert "99.4 centimetres" in pages["Pendulum clock"]
    assert all(row["tokens"] == len(row["page"].encode("utf-8")) for row in rows)
    assert [row["document"] for row in rows] == list(range(6))
