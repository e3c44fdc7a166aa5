"""Running text in sentences: cut where one ends, never the text that is scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.sentences import running_text, sentences_of
from harness.data.sources import SAMPLE, SOURCES


def test_a_paragraph_is_cut_after_its_sentences_and_not_within_names() -> None:
    paragraph = (
        'Mr. J. Smith met her in St. Ives today. "Was it cold?" he asked his old friend. Yes. It was 3.5 m deep !'
    )
    assert list(sentences_of(paragraph)) == [
        "Mr. J. Smith met her in St. Ives today.",
        '"Was it cold?" he asked his old friend.',
        "It was 3.5 m deep !",
    ]


def test_without_a_file_it_is_the_validation_text_without_headings(tmp_path: Path) -> None:
    text = running_text(data_dir="sample")
    assert text.origin == "sample"
    assert len(text.sentences) > 30
    assert not [one for one in text.sentences if one.startswith("=") or " , " in one]


def test_a_users_file_gives_each_sentence_once(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("The king was here today.\nThe king was here today. The queen was there too.\n")
    assert running_text(file).sentences == ("The king was here today.", "The queen was there too.")


def test_the_text_that_is_scored_is_refused_under_any_name(tmp_path: Path) -> None:
    shutil.copy(SAMPLE / SOURCES["wikitext2"].path, tmp_path / "mine.txt")
    with pytest.raises(ValueError, match=r"mine.txt: this is the text that wikitext2 scores"):
        running_text(tmp_path / "mine.txt", "sample")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.txt: no such file"):
        running_text(tmp_path / "none.txt")
